#include "core/graph/recorder.h"

#include <atomic>

#include "core/base/error.h"
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/tensor/not_capturable.h"

namespace convoy {
namespace {

thread_local Recorder* current_recorder = nullptr;

std::uint64_t next_recorder_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

Recorder::Recorder(Device& device, StepKey key, Tape tape)
    : device_(device), key_(key), tape_(tape), id_(next_recorder_id()), outer_(current_recorder) {
  current_recorder = this;
}

Recorder::Recorder(Device& device, Capture& capture) : Recorder(device, StepKey{}) { capture_ = &capture; }

Recorder::~Recorder() { current_recorder = outer_; }

Recorder& Recorder::current() {
  if (current_recorder == nullptr)
    fail(ErrorCode::kInvalidArgument, "an operator was applied outside a Recorder; make one around the model's code");
  return *current_recorder;
}

bool Recorder::capturing() { return current_recorder != nullptr && current_recorder->capture_ != nullptr; }

const StepKey& Recorder::key(std::source_location where) const {
  if (capture_ != nullptr) not_capturable(where, "the random key of one step is read");
  return key_;
}

void Recorder::check_may_update(const Op& op) const {
  if (without_updates_.empty()) return;
  fail(ErrorCode::kInvalidArgument,
       "{}: {} writes state, which only a step's update may do: the {} may be computed twice, or by several workers",
       without_updates_, op.name(), without_updates_);
}

std::int32_t Recorder::value_of(const Tensor& tensor) {
  if (tensor.trace().recorder == id_) return tensor.trace().value;
  const auto [found, is_new] = leaves_.try_emplace(tensor.identity(), values_);
  if (is_new) {
    ++values_;
    leaf_handles_.push_back(tensor);
  }
  return found->second;
}

Tensors Recorder::record(const OpPtr& op, std::span<const Tensor> inputs, Tensors outputs) {
  if (!tape_on()) return outputs;
  const Traits traits = op->traits();
  TapeNode node;
  node.op = op;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    node.input_values.push_back(value_of(inputs[i]));
    const bool read = (traits.gradient_reads_inputs >> i & 1) != 0;
    node.inputs.push_back(read ? inputs[i] : inputs[i].without_storage());
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    outputs[i] = outputs[i].traced({id_, values_});
    node.output_values.push_back(values_++);
    const bool read = (traits.gradient_reads_outputs >> i & 1) != 0;
    node.outputs.push_back(read ? outputs[i] : outputs[i].without_storage());
  }
  nodes_.push_back(std::move(node));
  return outputs;
}

void Recorder::emit(const Tensor& state, const Tensor& contribution, std::source_location where) {
  if (state.shape() != contribution.shape())
    fail(ErrorCode::kInvalidArgument, "a contribution of {} was emitted for a state of {}",
         contribution.spec().to_string(), state.spec().to_string());
  for (Emission& emission : emissions_) {
    if (emission.state.identity() != state.identity()) continue;
    const TapePause pause;
    emission.contribution = apply_one(make_op("add"), {emission.contribution, contribution});
    return;
  }
  emissions_.push_back({state, contribution, where});
}

}  // namespace convoy
