// Operators whose output element depends on the inputs' elements of the same place only.
//
// Two operands broadcast under NumPy's rules and have the same dtype, f32, f64 or bf16 (computed in
// f32, rounded once). Gradients have the operand's shape.
#pragma once

#include "core/tensor/tensor.h"

namespace convoy {

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, const Tensor& b);        // of equal elements, a's gets the gradient
Tensor greater_equal(const Tensor& a, const Tensor& b);  // 1 or 0 in the operands' dtype; no gradient

Tensor neg(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor relu(const Tensor& x);
Tensor gelu(const Tensor& x);  // GPT-2's: x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))
Tensor silu(const Tensor& x);  // x·σ(x)
Tensor square(const Tensor& x);
Tensor scale(const Tensor& x, double factor);
Tensor add_scalar(const Tensor& x, double value);

// Converts between any dtypes; differentiable among floating ones. Floats become integers by truncation, saturating;
// NaN becomes 0.
Tensor cast(const Tensor& x, DType dtype);

Tensor ones_like(const Tensor& x);  // floating; no gradient

// Gradients by the operator's input (gelu, silu) or output (relu) and the output's gradient, all of one shape. Not
// differentiable again.
Tensor gelu_backward(const Tensor& x, const Tensor& dy);
Tensor silu_backward(const Tensor& x, const Tensor& dy);
Tensor relu_backward(const Tensor& y, const Tensor& dy);

}  // namespace convoy
