// Scaled dot-product attention as one operator. The matrix of all scores is never stored: the kernel works on blocks of
// queries, and the gradient computes the probabilities again.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace convoy {

struct AttentionAttributes {
  bool causal = true;  // query t sees keys 0 … t only
  double scale = 0;    // of the scores before the softmax; 0: 1/sqrt(D)
};

// softmax(scale · q·kᵀ)·v for every sequence and head: q, k, v [B, T, H, D], any strides, f32 or f64, the result
// [B, T, H, D]. The gradient is one operator, which is not differentiable again.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionAttributes& attributes = {});

// The same for queries, keys and values that lie side by side: qkv [B, T, 3·C], with C = heads·D columns of each; the
// result is [B, T, C]. The gradient is one packed tensor.
Tensor self_attention(const Tensor& qkv, std::int64_t heads, const AttentionAttributes& attributes = {});

// The gradients: of attention with respect to q, k and v, and of self_attention with respect to qkv. out is the result,
// dout its gradient, log_sums [B, H, T] each query's log Σ exp(scale · q·k), which attention leaves as a second output.
// Not differentiable again.
Tensors attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& log_sums,
                           const Tensor& dout, const AttentionAttributes& attributes = {});
Tensor self_attention_backward(const Tensor& qkv, const Tensor& out, const Tensor& log_sums, const Tensor& dout,
                               std::int64_t heads, const AttentionAttributes& attributes = {});

}  // namespace convoy
