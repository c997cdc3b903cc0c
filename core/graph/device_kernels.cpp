#include "core/graph/device_kernels.h"

#include "core/base/error.h"

namespace convoy {
namespace {

[[noreturn]] void refuse(std::string_view what, const Device& device) {
  fail(ErrorCode::kUnavailable, "{} has no kernel on a {} device", what, device.kind());
}

}  // namespace

PreparedPtr prepare_on_device(const OpPtr& op, const PrepareArgs& args) {
  const KernelTable::Prepare prepare = kernels_of(args.device).find(op->name());
  if (prepare == nullptr) refuse(op->name(), args.device);
  return prepare(op, args);
}

PreparedPtr prepare_copy_on_device(const Tensor& from, const Tensor& to) {
  const KernelTable::PrepareCopy prepare = kernels_of(to.device()).copy();
  if (prepare == nullptr) refuse("a copy", to.device());
  return prepare(from, to);
}

}  // namespace convoy
