// The gated linear unit of Llama's feed-forward layers (Shazeer 2020).
#pragma once

#include "core/tensor/tensor.h"

namespace convoy {

// silu(gate) · up, element by element: f32, f64 or bf16, both of one dtype and shape. The gradient is one operator that
// gives both in one pass and is not differentiable again.
Tensor swiglu(const Tensor& gate, const Tensor& up);

}  // namespace convoy
