// The one way to run an operator.
#pragma once

#include <span>

#include "core/graph/op.h"

namespace convoy {

// Infers, runs on the current recorder's device, records. All inputs must be on that device.
Tensors apply(const OpPtr& op, std::span<const Tensor> inputs);

// The same for ops with one output.
Tensor apply_one(const OpPtr& op, std::span<const Tensor> inputs);
inline Tensor apply_one(const OpPtr& op, std::initializer_list<Tensor> inputs) {
  return apply_one(op, std::span(inputs.begin(), inputs.size()));
}

// The same for an elementwise op whose first input is given away: where nobody else has it, the result takes its
// memory. Never on the tape.
Tensor apply_over(const OpPtr& op, Tensor first, const Tensor& second);

// Runs an op with the update trait and assigns its outputs to `state`, in place: outputs[i] must match state[i]. Not
// differentiable, never on the tape.
void apply_update(const OpPtr& op, std::span<const Tensor> inputs, std::span<const Tensor> state);

// The tensor itself if it is contiguous, otherwise a copy that is. Not recorded: only the layout differs.
Tensor contiguous(const Tensor& tensor);

}  // namespace convoy
