// GPT-2 (Radford et al. 2019): pre-norm transformer decoder with learned positions, GELU and a head tied to the token
// embedding. Parameters carry GPT-2's published names and shapes.
#pragma once

#include <vector>

#include "core/nn/layers.h"
#include "core/nn/model.h"

namespace convoy {

struct GptOptions {
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t width = 0;  // divisible by heads
  std::int64_t context = 0;
  std::int64_t vocabulary = 0;
  double dropout = 0.0;  // of embeddings and of each residual branch
};

class Gpt final : public Model {
 public:
  explicit Gpt(const GptOptions& options);
  // inputs i32 [batch, tokens], tokens ≤ context → [batch, tokens, vocabulary].
  Tensor logits(const Tensor& inputs, Mode mode) const override;

 private:
  struct Block {
    LayerNorm norm1;
    Linear qkv;
    Linear attention_out;
    LayerNorm norm2;
    Linear expand;
    Linear contract;
  };
  static std::vector<Block> make_blocks(const ParameterScope& scope, const GptOptions& options);
  Tensor run_block(const Block& block, const Tensor& x, double dropout_rate) const;

  GptOptions options_;
  Embedding tokens_;
  Embedding positions_;
  std::vector<Block> blocks_;
  LayerNorm norm_;
};

}  // namespace convoy
