#include "core/nn/gpt_block.h"

#include <cmath>

#include "core/graph/recorder.h"
#include "core/ops/attention.h"
#include "core/ops/concat.h"
#include "core/ops/elementwise.h"
#include "core/ops/random.h"
#include "core/ops/rotary.h"
#include "core/ops/swiglu.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

const GptNames kGpt2Names{.tokens = "wte",
                          .positions = "wpe",
                          .blocks = "h",
                          .norm = "ln_f",
                          .norm1 = "ln_1",
                          .attention = "attn",
                          .out = "c_proj",
                          .norm2 = "ln_2",
                          .mlp = "mlp",
                          .gate = "c_gate",
                          .expand = "c_fc",
                          .contract = "c_proj"};
const GptNames kLlamaNames{.tokens = "embed_tokens",
                           .positions = "",
                           .blocks = "layers",
                           .norm = "norm",
                           .norm1 = "input_layernorm",
                           .attention = "self_attn",
                           .out = "o_proj",
                           .norm2 = "post_attention_layernorm",
                           .mlp = "mlp",
                           .gate = "gate_proj",
                           .expand = "up_proj",
                           .contract = "down_proj"};

std::int64_t kv_heads_of(const GptOptions& options) { return options.kv_heads > 0 ? options.kv_heads : options.heads; }
std::int64_t mlp_width_of(const GptOptions& options) {
  return options.mlp_width > 0 ? options.mlp_width : 4 * options.width;
}

// Weights that end a residual branch start smaller, so that the sum over 2·layers branches keeps its variance.
double residual_deviation(const GptOptions& options) {
  return kGptDeviation / std::sqrt(2.0 * static_cast<double>(options.layers));
}

Linear make_linear(const ParameterScope& scope, std::int64_t in, std::int64_t out, const GptOptions& options) {
  return Linear(scope, in, out, kGptDeviation, Activation::kNone, options.bias);
}

std::vector<Linear> make_projections(const ParameterScope& scope, const GptOptions& options) {
  const std::int64_t width = options.width;
  const std::int64_t kv_width = width / options.heads * kv_heads_of(options);
  if (!is_llama(options)) return {make_linear(scope / "c_attn", width, width + 2 * kv_width, options)};
  return {make_linear(scope / "q_proj", width, width, options), make_linear(scope / "k_proj", width, kv_width, options),
          make_linear(scope / "v_proj", width, kv_width, options)};
}

}  // namespace

bool is_llama(const GptOptions& options) {
  return options.norm == GptNorm::kRms && options.activation == GptActivation::kSwiglu &&
         options.positions == GptPositions::kRotary && !options.bias;
}

const GptNames& names_of(const GptOptions& options) { return is_llama(options) ? kLlamaNames : kGpt2Names; }

Norm::Norm(const ParameterScope& scope, const GptOptions& options)
    : norm_(options.norm == GptNorm::kRms
                ? std::variant<LayerNorm, RmsNorm>(std::in_place_type<RmsNorm>, scope, options.width)
                : std::variant<LayerNorm, RmsNorm>(std::in_place_type<LayerNorm>, scope, options.width)) {}

Tensor Norm::operator()(const Tensor& x) const {
  return std::visit([&x](const auto& norm) { return norm(x); }, norm_);
}

SelfAttention::SelfAttention(const ParameterScope& scope, const GptOptions& options)
    : heads_(options.heads),
      kv_heads_(kv_heads_of(options)),
      depth_(options.width / options.heads),
      projections_(make_projections(scope, options)),
      out_(scope / names_of(options).out, options.width, options.width, residual_deviation(options), Activation::kNone,
           options.bias) {
  if (options.positions == GptPositions::kRotary) rope_theta_ = options.rope_theta;
}

Tensor SelfAttention::operator()(const Tensor& x) const {
  if (projections_.size() == 3) return attend(projections_[0](x), projections_[1](x), projections_[2](x));
  const Tensor qkv = projections_[0](x);
  if (!rope_theta_) return out_(self_attention(qkv, {heads_, kv_heads_}));
  const Tensors parts = split(qkv, 2, {heads_ * depth_, kv_heads_ * depth_, kv_heads_ * depth_});
  return attend(parts[0], parts[1], parts[2]);
}

Tensor SelfAttention::attend(const Tensor& q, const Tensor& k, const Tensor& v) const {
  const auto by_head = [this](const Tensor& x, std::int64_t heads) {
    return reshape(x, {x.shape()[0], x.shape()[1], heads, depth_});
  };
  const Tensor out = attention(rotary(by_head(q, heads_), *rope_theta_), rotary(by_head(k, kv_heads_), *rope_theta_),
                               by_head(v, kv_heads_));
  return out_(reshape(out, q.shape()));
}

FeedForward::FeedForward(const ParameterScope& scope, const GptOptions& options)
    : gate_(options.activation == GptActivation::kSwiglu
                ? std::optional(
                      make_linear(scope / names_of(options).gate, options.width, mlp_width_of(options), options))
                : std::nullopt),
      expand_(scope / names_of(options).expand, options.width, mlp_width_of(options), kGptDeviation,
              gate_ ? Activation::kNone : Activation::kGelu, options.bias),
      contract_(scope / names_of(options).contract, mlp_width_of(options), options.width, residual_deviation(options),
                Activation::kNone, options.bias) {}

Tensor FeedForward::operator()(const Tensor& x) const {
  return contract_(gate_ ? swiglu((*gate_)(x), expand_(x)) : expand_(x));
}

GptBlock::GptBlock(const ParameterScope& scope, const GptOptions& options)
    : norm1_(scope / names_of(options).norm1, options),
      attention_(scope / names_of(options).attention, options),
      norm2_(scope / names_of(options).norm2, options),
      mlp_(scope / names_of(options).mlp, options) {}

Tensor GptBlock::operator()(const Tensor& x, double rate) const {
  const BlockScope block;
  const Tensor y = add(x, dropout(attention_(norm1_(x)), rate));
  return add(y, dropout(mlp_(norm2_(y)), rate));
}

}  // namespace convoy
