// Optimizer rules over whole buckets, and the gradient norm's first stage. Nothing here is differentiable.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

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

struct SgdAttributes {
  double momentum = 0.0;
  bool nesterov = false;
  double weight_decay = 0.0;
};

// One step of stochastic gradient descent as PyTorch's SGD takes it (dampening 0), in place, over contiguous [n]
// tensors of one dtype, f32 or f64: g += weight_decay·p; buffer = momentum·buffer + g (zero before the first step);
// p -= lr·buffer, with nesterov lr·(g + momentum·buffer). `state` is {parameter, buffer}, without momentum {parameter}.
// `factors` is f64 [3]: {lr, gradient_scale, apply}, as for adamw_update.
void sgd_update(const SgdAttributes& attributes, std::span<const Tensor> state, const Tensor& gradient,
                const Tensor& factors);
// The rule as an operator: (parameter[, buffer], gradient, factors) → (parameter[, buffer]).
OpPtr sgd_op(const SgdAttributes& attributes);

// Where norms are cut: sums of squares go over chunks of so many elements, counted from a parameter's first.
constexpr std::int64_t kSquareChunk = 1024;

struct LambAttributes {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-6;
  double weight_decay = 0.0;
  bool adapt = true;  // false: every trust ratio is 1
  // Parameter k lies in [begins[k], ends[k]), elements; it begins on a multiple of kSquareChunk. What lies between
  // parameters is left alone.
  std::vector<std::int64_t> begins;
  std::vector<std::int64_t> ends;
};

// One step of LAMB (You et al. 2020, algorithm 2, φ the identity), in place, over contiguous [n] tensors of one dtype,
// f32 or f64: with Adam's m and v and u = m̂ / (√v̂ + ε) + weight_decay·p, p -= lr · ‖p‖/‖u‖ · u, the norms over one
// parameter in fp64 and the ratio 1 where either is zero. `factors` as for adamw_update.
void lamb_update(const LambAttributes& attributes, const Tensor& parameter, const Tensor& m, const Tensor& v,
                 const Tensor& gradient, const Tensor& factors);
// The rule as an operator: (parameter, m, v, gradient, factors) → (parameter, m, v).
OpPtr lamb_op(const LambAttributes& attributes);

// The sum of squares of each chunk of kSquareChunk elements: f32 or f64 [n], n a multiple of the chunk → f64 [chunks].
Tensor chunk_squares(const Tensor& gradient);

}  // namespace convoy
