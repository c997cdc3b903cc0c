#include "worker/memory_share.h"

#include "core/base/available_memory.h"
#include "core/base/error.h"
#include "core/base/quantity.h"
#include "distributed/worker_block.h"

namespace convoy::worker {

std::optional<std::size_t> memory_share(std::int32_t local_workers) {
  const std::optional<std::size_t> available = available_memory();
  if (!available) return std::nullopt;
  return *available / static_cast<std::size_t>(local_workers);
}

std::int64_t gradient_arenas(std::int64_t shards, std::int32_t rank, std::int32_t world) {
  const distributed::WorkerBlock block = distributed::worker_block(static_cast<std::int32_t>(shards), rank, world);
  return block.schedule.slots + (world == 1 ? 0 : 1);
}

std::size_t room_beside_state(std::int64_t elements, std::size_t moments, std::int64_t gradient_arenas,
                              std::size_t most_bytes) {
  const double arena = static_cast<double>(elements) * sizeof(float);
  const double optimizer = arena * static_cast<double>(moments);
  const double gradients = arena * static_cast<double>(gradient_arenas);
  const double together = arena + optimizer + gradients;
  if (together > static_cast<double>(most_bytes))
    fail(ErrorCode::kUnavailable,
         "parameters ({}), optimizer state ({}) and gradients ({}) need {}; expected at most {}, which a worker can "
         "have of this machine's memory",
         with_prefix(arena, "B"), with_prefix(optimizer, "B"), with_prefix(gradients, "B"), with_prefix(together, "B"),
         with_prefix(static_cast<double>(most_bytes), "B"));
  return most_bytes - static_cast<std::size_t>(together);
}

}  // namespace convoy::worker
