// Rotary positions (Su et al. 2021), as Llama uses them.
#pragma once

#include "core/tensor/tensor.h"

namespace convoy {

// Turns each head's vector by its time: x [B, T, H, D] with D even, f32, f64 or bf16, any strides, → the same shape.
// Elements i and i + D/2 of the vector at time t make a pair that turns by the angle t · theta^(-2i/D). The gradient
// turns back.
Tensor rotary(const Tensor& x, double theta = 10000.0);

}  // namespace convoy
