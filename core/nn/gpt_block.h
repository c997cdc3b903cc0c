// The parts of a gpt model: its options, its norms, and the block that it repeats.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/nn/layers.h"

namespace convoy {

enum class GptNorm : std::uint8_t { kLayer, kRms };
enum class GptActivation : std::uint8_t { kGelu, kSwiglu };
enum class GptPositions : std::uint8_t { kLearned, kRotary };

struct GptOptions {
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t width = 0;  // divisible by heads, and evenly so for rotary positions
  std::int64_t context = 0;
  std::int64_t vocabulary = 0;
  double dropout = 0.0;        // of embeddings and of each residual branch
  std::int64_t kv_heads = 0;   // divides heads; 0: as many
  std::int64_t mlp_width = 0;  // 0: 4·width
  GptNorm norm = GptNorm::kLayer;
  GptActivation activation = GptActivation::kGelu;
  GptPositions positions = GptPositions::kLearned;
  double rope_theta = 10000.0;  // of rotary positions
  bool own_head = false;        // instead of the token embedding
  bool bias = true;             // of linear layers
  DType activations = DType::kF32;
};

// The standard deviation that GPT-2 starts all weights with.
constexpr double kGptDeviation = 0.02;

// What a form's checkpoints call its parts.
struct GptNames {
  std::string tokens, positions, blocks, norm;                            // of the model
  std::string norm1, attention, out, norm2, mlp, gate, expand, contract;  // of a block
};
bool is_llama(const GptOptions& options);
const GptNames& names_of(const GptOptions& options);

class Norm {
 public:
  Norm(const ParameterScope& scope, const GptOptions& options);
  Tensor operator()(const Tensor& x) const;

 private:
  std::variant<LayerNorm, RmsNorm> norm_;
};

// Causal self-attention. GPT-2's form projects queries, keys and values by one matrix, Llama's by three.
class SelfAttention {
 public:
  SelfAttention(const ParameterScope& scope, const GptOptions& options);
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v) const;

  std::int64_t heads_, kv_heads_, depth_;
  std::optional<double> rope_theta_;
  std::vector<Linear> projections_;  // one of all, or of queries, keys, values
  Linear out_;
};

// contract(gelu(expand(x))), or contract(silu(gate(x)) · expand(x)).
class FeedForward {
 public:
  FeedForward(const ParameterScope& scope, const GptOptions& options);
  Tensor operator()(const Tensor& x) const;

 private:
  std::optional<Linear> gate_;
  Linear expand_;
  Linear contract_;
};

// x + attention(norm(x)), then the same with the feed-forward layers.
class GptBlock {
 public:
  GptBlock(const ParameterScope& scope, const GptOptions& options);
  Tensor operator()(const Tensor& x, double dropout_rate) const;

 private:
  Norm norm1_;
  SelfAttention attention_;
  Norm norm2_;
  FeedForward mlp_;
};

}  // namespace convoy
