// Optimizer rules over whole buckets, and the gradient norm's first stage. Nothing here is differentiable.
#pragma once

#include <cstdint>

#include "core/graph/op.h"
#include "core/tensor/tensor.h"

namespace convoy {

struct AdamWAttributes {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
};

// One step of Adam with decoupled weight decay (Loshchilov & Hutter 2019), in place, over contiguous [n] tensors of
// one dtype, f32 or f64. `factors` is f64 [5]: {lr, 1 - beta1^t, 1 - beta2^t, gradient_scale, apply}. The gradient is
// multiplied by gradient_scale first; apply = 0 leaves everything as it is.
void adamw_update(const AdamWAttributes& attributes, const Tensor& parameter, const Tensor& m, const Tensor& v,
                  const Tensor& gradient, const Tensor& factors);
// The rule as an operator: (parameter, m, v, gradient, factors) → (parameter, m, v).
OpPtr adamw_op(const AdamWAttributes& attributes);

constexpr std::int64_t kSquareChunk = 1024;

// The sum of squares of each chunk of kSquareChunk elements: f32 or f64 [n], n a multiple of the chunk → f64 [chunks].
Tensor chunk_squares(const Tensor& gradient);

}  // namespace convoy
