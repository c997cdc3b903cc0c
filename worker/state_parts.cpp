#include "worker/state_parts.h"

#include "core/base/error.h"

namespace convoy::worker {
namespace {

std::span<std::byte> bytes_of(const StateTensor& part) {
  if (!part.tensor.is_contiguous()) fail(ErrorCode::kInternal, "{} of the state is not contiguous", part.name);
  return std::as_writable_bytes(std::span(part.tensor.data<float>(), static_cast<std::size_t>(part.tensor.elements())));
}

}  // namespace

Parts parts_of(const Replica& replica) {
  Parts parts;
  for (const StateTensor& part : replica.state()) parts.push_back(bytes_of(part));
  return parts;
}

Destination destinations_of(Replica& replica) {
  Destination destination;
  for (const StateTensor& part : replica.state()) destination.push_back(bytes_of(part));
  return destination;
}

void state_was_written(Replica& replica) {
  for (const StateTensor& part : replica.state()) part.tensor.written();
}

}  // namespace convoy::worker
