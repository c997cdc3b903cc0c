// A transformer decoder that predicts the next token, from GPT-2 (Radford et al. 2019: layer norm before each branch,
// learned positions, GELU, a head tied to the token embedding) to Llama (Touvron et al. 2023: RMS norm, rotary
// positions, SwiGLU, grouped key heads, no biases). The Llama form (all four) carries Llama's published parameter
// names, every other one GPT-2's; weights of linear layers are [in, out] in both.
#pragma once

#include <optional>
#include <vector>

#include "core/nn/gpt_block.h"
#include "core/nn/model.h"

namespace convoy {

class Gpt final : public Model {
 public:
  explicit Gpt(const GptOptions& options);
  // inputs i32 [batch, tokens], tokens ≤ context → [batch, tokens, vocabulary].
  Tensor logits(const Tensor& inputs, Mode mode) const override;

 private:
  Tensor embed(const Tensor& inputs) const;

  GptOptions options_;
  Embedding tokens_;
  std::optional<Embedding> positions_;  // learned ones
  std::vector<GptBlock> blocks_;
  Norm norm_;
  std::optional<Linear> head_;  // its own; otherwise the token embedding
};

}  // namespace convoy
