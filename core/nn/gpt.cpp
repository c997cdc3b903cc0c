#include "core/nn/gpt.h"

#include <cmath>
#include <string>

#include "core/base/error.h"
#include "core/ops/attention.h"
#include "core/ops/elementwise.h"
#include "core/ops/random.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

constexpr double kDeviation = 0.02;  // GPT-2's, for all weights

}  // namespace

Gpt::Gpt(const GptOptions& options)
    : options_(options),
      tokens_(ParameterScope(parameters_, "wte"), options.vocabulary, options.width, kDeviation),
      positions_(ParameterScope(parameters_, "wpe"), options.context, options.width, kDeviation),
      blocks_(make_blocks(ParameterScope(parameters_, "h"), options)),
      norm_(ParameterScope(parameters_, "ln_f"), options.width) {}

std::vector<Gpt::Block> Gpt::make_blocks(const ParameterScope& scope, const GptOptions& options) {
  const std::int64_t width = options.width;
  // Weights that end a residual branch start smaller, so that the sum over 2·layers branches keeps its variance.
  const double residual = kDeviation / std::sqrt(2.0 * static_cast<double>(options.layers));
  std::vector<Block> blocks;
  for (std::int64_t i = 0; i < options.layers; ++i) {
    const ParameterScope block = scope / std::to_string(i);
    blocks.push_back({.norm1 = LayerNorm(block / "ln_1", width),
                      .qkv = Linear(block / "attn" / "c_attn", width, 3 * width, kDeviation),
                      .attention_out = Linear(block / "attn" / "c_proj", width, width, residual),
                      .norm2 = LayerNorm(block / "ln_2", width),
                      .expand = Linear(block / "mlp" / "c_fc", width, 4 * width, kDeviation, Activation::kGelu),
                      .contract = Linear(block / "mlp" / "c_proj", 4 * width, width, residual)});
  }
  return blocks;
}

Tensor Gpt::run_block(const Block& block, const Tensor& x, double rate) const {
  const Tensor attended = self_attention(block.qkv(block.norm1(x)), options_.heads, AttentionAttributes{});
  const Tensor y = add(x, dropout(block.attention_out(attended), rate));
  return add(y, dropout(block.contract(block.expand(block.norm2(y))), rate));
}

Tensor Gpt::logits(const Tensor& inputs, Mode mode) const {
  const std::int64_t length = inputs.shape()[-1];
  if (length > options_.context)
    fail(ErrorCode::kInvalidArgument, "gpt: {} tokens do not fit the context of {}", length, options_.context);
  const double rate = mode == Mode::kTrain ? options_.dropout : 0.0;
  Tensor x = add(tokens_(inputs), slice(positions_.weight().value(), 0, 0, length));
  x = dropout(x, rate);
  for (const Block& block : blocks_) x = run_block(block, x, rate);
  return matmul(norm_(x), tokens_.weight().value(), false, true);
}

}  // namespace convoy
