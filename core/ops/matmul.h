// Matrix products. f32 runs on oneDNN with plain row-major operands, f64 and bf16 on own loops; the kernel and its
// blocking are a function of the shapes alone, so the bits do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <optional>

#include "core/ops/activation.h"
#include "core/tensor/tensor.h"

namespace convoy {

// The products of the matrices in the last two dimensions of `a` and `b`, each transposed first if asked for:
// a is [.., M, K] ([.., K, M] with transpose_a), b is [.., K, N] ([.., N, K] with transpose_b), the result [.., M, N].
// Leading dimensions are equal; or b has rank 2 and a's leading dimensions count as rows (not with transpose_a).
// f32, f64 or bf16, both alike; or a bf16 and b a master weight: f32 of rank 2, rounded to bf16 when it is read (not
// with transpose_a). bf16 products are summed in fp32, and rounded to bf16 unless `dtype` is f32. Both gradients are
// matmuls; a master's is f32, straight from the kernel.
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false,
              std::optional<DType> dtype = {});

// activation(x·weight + bias) as one operator: x [.., in], weight [in, out], bias [out] or undefined for none, the
// result [.., out]; f32 or f64, all alike, or x bf16 with weight and bias f32 (masters, as in matmul; the result is
// rounded once, behind the activation). kGelu is the tanh form; it keeps x·weight + bias for its gradient, kRelu only
// its result.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation = Activation::kNone);

}  // namespace convoy
