// Softmax and the losses and scores made from it, over the last axis.
#pragma once

#include "core/tensor/tensor.h"

namespace convoy {

// x f32, f64 or bf16 [..., V], V ≥ 1.
Tensor softmax(const Tensor& x);

// A loss as an unscaled sum over rows and the number of rows summed: f64 scalars, so that shards combine exactly.
struct Loss {
  Tensor sum;
  Tensor count;  // no gradient
};

// -log softmax(logits)[target], summed over rows: logits f32, f64 or bf16 [..., V], targets i32 [...]; rows whose
// target is -1 are left out. Throws Error(kInvalidArgument) for any other target outside [0, V). Of the forward pass
// only the logits and one number a row are kept. The loss of bf16 logits is that of the same numbers in f32; their
// gradient is rounded once.
Loss cross_entropy(const Tensor& logits, const Tensor& targets);

// How many rows have their (first) largest logit at the target: an f64 scalar, no gradient. Targets as above.
Tensor count_correct(const Tensor& logits, const Tensor& targets);

}  // namespace convoy
