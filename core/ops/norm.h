// Normalisation layers. Statistics and parameters of bf16 activations are f32, and so are the parameters' gradients;
// y and dx are rounded once.
#pragma once

#include "core/tensor/tensor.h"

namespace convoy {

// (x - mean) / sqrt(variance + epsilon) · gamma + beta over the last axis: x f32, f64 or bf16 [..., C], gamma and beta
// [C]. The backward pass is one operator that gives dx, dgamma and dbeta.
Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double epsilon = 1e-5);

// x / sqrt(mean of x² + epsilon) · gamma over the last axis (Zhang & Sennrich 2019): x f32, f64 or bf16 [..., C],
// gamma [C]. The backward pass is one operator that gives dx and dgamma.
Tensor rms_norm(const Tensor& x, const Tensor& gamma, double epsilon = 1e-5);

}  // namespace convoy
