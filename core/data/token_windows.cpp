#include "core/data/token_windows.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/error.h"
#include "core/data/held_out.h"

namespace convoy {
namespace {

// The fewest tokens whose training part holds one window and its last target: the smallest N ≥ context + 2 with
// N - ⌊N · eval_fraction + ½⌋ ≥ context + 1. A double, because it may be more than an integer holds.
double least_tokens(std::int64_t context, double eval_fraction) {
  const auto window = static_cast<double>(context);
  return std::max(window + 2.0, std::floor((window + 0.5) / (1.0 - eval_fraction)) + 1.0);
}

class TokenWindows final : public Dataset {
 public:
  TokenWindows(TokenFiles tokens, const TokenSplit& split)
      : tokens_(std::move(tokens)),
        train_(split.train),
        eval_begin_(split.own_text ? split.train : split.train - 1),
        context_(split.context) {}

  std::int64_t size(Split split) const override {
    if (split == Split::kTrain) return (train_ - 1) / context_;
    return (tokens_.size() - 1 - eval_begin_ + context_ - 1) / context_;
  }
  SampleSpec input_spec() const override { return {DType::kI32, {context_}}; }
  SampleSpec target_spec() const override { return {DType::kI32, {context_}}; }
  std::int64_t classes() const override { return tokens_.vocabulary(); }
  std::int64_t tokens_per_sample() const override { return context_; }
  std::string digest() const override { return tokens_.digest(); }

 private:
  void read_sample(Split split, SampleId sample, void* input, std::int32_t* target) const override {
    const std::int64_t begin = (split == Split::kTrain ? 0 : eval_begin_) + sample.number * context_;
    const std::int64_t count = std::min(context_, tokens_.size() - 1 - begin);  // fewer in the last eval window only
    auto* tokens = static_cast<std::int32_t*>(input);
    tokens_.read(begin, count, tokens);
    tokens_.read(begin + 1, count, target);
    std::fill(tokens + count, tokens + context_, 0);
    std::fill(target + count, target + context_, -1);
  }

  TokenFiles tokens_;
  std::int64_t train_;
  std::int64_t eval_begin_;
  std::int64_t context_;
};

}  // namespace

TokenSplit hold_out_tail(std::int64_t tokens, const DataRecipe& recipe, const char* units) {
  const std::int64_t train = tokens - held_out(tokens, recipe.eval_fraction);
  if (train < recipe.context + 1) {
    fail(ErrorCode::kUsage,
         "data.context: a context of {} needs at least {:.0f} {} with {} of them held out; {} holds {}", recipe.context,
         least_tokens(recipe.context, recipe.eval_fraction), units, recipe.eval_fraction, recipe.path, tokens);
  }
  return {.train = train, .own_text = false, .context = recipe.context};
}

std::unique_ptr<Dataset> make_token_windows(TokenFiles tokens, const TokenSplit& split) {
  return std::make_unique<TokenWindows>(std::move(tokens), split);
}

}  // namespace convoy
