// Scaled dot-product attention as one operator, in blocks (Dao et al. 2022): the scores of one block of queries against
// one block of keys are all that is ever stored, and the gradient computes the probabilities again.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace convoy {

struct AttentionAttributes {
  bool causal = true;  // query t sees keys 0 … t only
  double scale = 0;    // of the scores before the softmax; 0: 1/sqrt(D)
};

// softmax(scale · q·kᵀ)·v for every sequence and head: q [B, T, H, D], k and v [B, T, G, D] with H a multiple of G, any
// strides, f32, f64 or bf16 (scores, probabilities and sums are f32 then), the result [B, T, H, D]. Each key head
// serves H/G query heads in a row (grouped-query attention, Ainslie et al. 2023). The gradient is one operator, which
// is not differentiable again.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionAttributes& attributes = {});

// Heads of a packed projection.
struct PackedHeads {
  std::int64_t query;
  std::int64_t key;

  PackedHeads(std::int64_t heads) : PackedHeads(heads, heads) {}  // NOLINT: a number of heads is what it says
  PackedHeads(std::int64_t query_heads, std::int64_t key_heads) : query(query_heads), key(key_heads) {}
};

// The same for queries, keys and values that lie side by side: qkv [B, T, (H + 2·G)·D]; the result is [B, T, H·D]. The
// gradient is one packed tensor.
Tensor self_attention(const Tensor& qkv, const PackedHeads& heads, const AttentionAttributes& attributes = {});

// The gradients: of attention with respect to q, k and v, and of self_attention with respect to qkv. out is the result,
// dout its gradient, log_sums [B, H, T] (f32 beside bf16) each query's log Σ exp(scale · q·k), which attention leaves
// as a second output. Not differentiable again.
Tensors attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& log_sums,
                           const Tensor& dout, const AttentionAttributes& attributes = {});
Tensor self_attention_backward(const Tensor& qkv, const Tensor& out, const Tensor& log_sums, const Tensor& dout,
                               const PackedHeads& heads, const AttentionAttributes& attributes = {});

}  // namespace convoy
