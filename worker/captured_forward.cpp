#include "worker/captured_forward.h"

#include <vector>

#include "core/base/error.h"
#include "core/graph/capture.h"

namespace convoy::worker {
namespace {

const OpenSize kBatch{.name = "batch", .input = 0, .axis = 0, .samples = {2, 3, 5}};
constexpr std::int64_t kLeastContext = 3;  // of which there are three different lengths

}  // namespace

Graph capture_forward(const Model& model, const TaskSpec& task, Device& device, std::int64_t samples) {
  Capture capture(device);
  for (const Parameter& parameter : model.parameters()) capture.state(parameter.name(), parameter.value());
  Shape shape{samples};
  for (const std::int64_t extent : task.shape) shape.append(extent);
  const Tensor input = capture.input("input", {task.dtype, shape, &device});
  capture.result("logits", model.logits(input, Mode::kInfer));
  return capture.finish();
}

SizedGraph capture_sized_forward(const Model& model, const TaskSpec& task, Device& device) {
  const auto at = [&](std::span<const std::int64_t> sizes) {
    TaskSpec sized = task;
    if (sizes.size() > 1) sized.shape[0] = sizes[1];
    return capture_forward(model, sized, device, sizes[0]);
  };
  const std::int64_t context = task.shape.rank() == 1 ? task.shape[0] : 0;
  if (task.dtype == DType::kI32 && context >= kLeastContext) {
    try {
      return SizedGraph({kBatch, {"sequence", 0, 1, {context, context - 1, context / 2}}}, at);
    } catch (const Error& error) {
      // A model that reads texts of one length alone.
      if (error.code() != ErrorCode::kUsage && error.code() != ErrorCode::kInvalidArgument) throw;
    }
  }
  return SizedGraph({kBatch}, at);
}

}  // namespace convoy::worker
