#include "core/graph/apply.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/error.h"
#include "core/device/scratch.h"
#include "core/graph/capture.h"
#include "core/graph/recorder.h"

namespace convoy {
namespace {

Specs specs_of(std::span<const Tensor> tensors) {
  Specs specs;
  specs.reserve(tensors.size());
  for (const Tensor& tensor : tensors) specs.push_back(tensor.spec());
  return specs;
}

void check_inputs(const Op& op, std::span<const Tensor> inputs, const Device& device) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) fail(ErrorCode::kInvalidArgument, "{}: input {} is not defined", op.name(), i);
    if (&inputs[i].device() != &device)
      fail(ErrorCode::kInvalidArgument, "{}: input {} is not on the recorder's device", op.name(), i);
  }
}

// The kernel, once and now. That the CPU alone does; other devices run plans.
void run_once(const Op& op, std::span<const Tensor> inputs, std::span<const Tensor> outputs, Recorder& recorder) {
  Device& device = recorder.device();
  if (device.kind() != "cpu")
    fail(ErrorCode::kInvalidArgument, "{}: a {} device runs plans of captured operators, not one operator at a time",
         op.name(), device.kind());
  PooledScratch scratch(device);
  op.prepare({inputs, outputs, device, scratch})->run(recorder.key());
  device.count_kernel();
}

Tensor run_view(const Op& op, const Tensor& input) {
  if (const std::optional<Layout> layout = op.view(input.layout())) return input.view(*layout);
  const Tensor copy = contiguous(input);
  const std::optional<Layout> layout = op.view(copy.layout());
  if (!layout) fail(ErrorCode::kInternal, "{}: no view of a contiguous {}", op.name(), input.spec().to_string());
  return copy.view(*layout);
}

Tensors run_kernel(const Op& op, const Traits& traits, std::span<const Tensor> inputs, Recorder& recorder) {
  const Specs specs = op.infer(specs_of(inputs));
  if (traits.view) {
    Tensor result = run_view(op, inputs[0]);
    if (result.spec() != specs[0])
      fail(ErrorCode::kInternal, "{}: the view is {}, expected {}", op.name(), result.spec().to_string(),
           specs[0].to_string());
    return {std::move(result)};
  }
  Tensors outputs;
  outputs.reserve(specs.size());
  for (Spec spec : specs) {
    spec.device = &recorder.device();
    outputs.push_back(Tensor::empty(spec, {}));
  }
  Tensors plain;
  const auto has_gaps = [](const Tensor& input) { return !input.is_contiguous(); };
  if (!traits.strided && std::any_of(inputs.begin(), inputs.end(), has_gaps)) {
    plain.reserve(inputs.size());
    for (const Tensor& input : inputs) plain.push_back(contiguous(input));
    inputs = plain;
  }
  run_once(op, inputs, outputs, recorder);
  return outputs;
}

}  // namespace

Tensor contiguous(const Tensor& tensor) {
  if (tensor.is_contiguous()) return tensor;
  Tensor copy = Tensor::empty(tensor.spec(), tensor.made());
  copy_elements(tensor, copy);
  return copy;
}

Tensors apply(const OpPtr& op, std::span<const Tensor> inputs) {
  Recorder& recorder = Recorder::current();
  check_inputs(*op, inputs, recorder.device());
  if (Capture* const capture = recorder.capture()) return recorder.record(op, inputs, capture->append(op, inputs));
  return recorder.record(op, inputs, run_kernel(*op, op->traits(), inputs, recorder));
}

Tensor apply_one(const OpPtr& op, std::span<const Tensor> inputs) { return apply(op, inputs).front(); }

Tensor apply_over(const OpPtr& op, Tensor first, const Tensor& second) {
  Recorder& recorder = Recorder::current();
  const std::array inputs{std::move(first), second};
  check_inputs(*op, inputs, recorder.device());
  const bool over = recorder.capture() == nullptr && inputs[0].is_sole_owner() && inputs[0].is_contiguous() &&
                    op->infer(specs_of(inputs))[0] == inputs[0].spec();
  if (!over) return apply_one(op, inputs);
  run_once(*op, inputs, std::span(inputs).first(1), recorder);
  return inputs[0];
}

void apply_update(const OpPtr& op, std::span<const Tensor> inputs, std::span<const Tensor> state) {
  Recorder& recorder = Recorder::current();
  check_inputs(*op, inputs, recorder.device());
  recorder.check_may_update(*op);
  const Specs specs = op->infer(specs_of(inputs));
  if (!op->traits().update || specs.size() != state.size())
    fail(ErrorCode::kInternal, "{} cannot update {} states", op->name(), state.size());
  for (std::size_t i = 0; i < state.size(); ++i) {
    if (state[i].spec() != specs[i] || !state[i].is_contiguous())
      fail(ErrorCode::kInvalidArgument, "{}: state {} is {}, expected a contiguous {}", op->name(), i,
           state[i].spec().to_string(), specs[i].to_string());
  }
  if (Capture* const capture = recorder.capture()) return capture->append_update(op, inputs, state);
  run_once(*op, inputs, state, recorder);
  for (const Tensor& tensor : state) tensor.written();
}

}  // namespace convoy
