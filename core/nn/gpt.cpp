#include "core/nn/gpt.h"

#include <string>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/random.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

std::vector<GptBlock> make_blocks(const ParameterScope& scope, const GptOptions& options) {
  std::vector<GptBlock> blocks;
  for (std::int64_t i = 0; i < options.layers; ++i) blocks.emplace_back(scope / std::to_string(i), options);
  return blocks;
}

}  // namespace

// Members are made in the order of the published checkpoints' layers.
Gpt::Gpt(const GptOptions& options)
    : options_(options),
      tokens_(ParameterScope(parameters_, names_of(options).tokens), options.vocabulary, options.width, kGptDeviation),
      positions_(options.positions == GptPositions::kRotary
                     ? std::nullopt
                     : std::optional<Embedding>(std::in_place, ParameterScope(parameters_, names_of(options).positions),
                                                options.context, options.width, kGptDeviation)),
      blocks_(make_blocks(ParameterScope(parameters_, names_of(options).blocks), options)),
      norm_(ParameterScope(parameters_, names_of(options).norm), options) {
  if (options.own_head)
    head_.emplace(ParameterScope(parameters_, "lm_head"), options.width, options.vocabulary, kGptDeviation,
                  Activation::kNone, false);
}

// The sum is rounded, not its terms: the gradients of both tables stay f32.
Tensor Gpt::embed(const Tensor& inputs) const {
  if (!positions_) return tokens_(inputs, options_.activations);
  const Tensor positions = slice(positions_->weight().value(), 0, 0, inputs.shape()[-1]);
  return cast(add(tokens_(inputs), positions), options_.activations);
}

Tensor Gpt::logits(const Tensor& inputs, Mode mode) const {
  const std::int64_t length = inputs.shape()[-1];
  if (length > options_.context)
    fail(ErrorCode::kInvalidArgument, "gpt: {} tokens do not fit the context of {}", length, options_.context);
  const double rate = mode == Mode::kTrain ? options_.dropout : 0.0;
  Tensor x = embed(inputs);
  x = dropout(x, rate);
  for (const GptBlock& block : blocks_) x = block(x, rate);
  return head_ ? (*head_)(norm_(x)) : matmul(norm_(x), tokens_.weight().value(), false, true);
}

}  // namespace convoy
