#include "worker/continuation.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "core/base/philox.h"
#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"

namespace convoy::worker {
namespace {

// The logits of the token that follows `tokens`.
std::vector<float> next_logits(const Model& model, CpuDevice& device, std::span<const std::int32_t> tokens) {
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const auto length = static_cast<std::int64_t>(tokens.size());
  const Tensor logits = model.logits(Tensor::of<std::int32_t>(device, {1, length}, tokens), Mode::kInfer);
  const std::vector<float> all = cast(logits, DType::kF32).to_vector<float>();
  return {all.end() - logits.shape()[logits.shape().rank() - 1], all.end()};
}

// Draws from softmax(logits / temperature); `uniform` in [0, 1).
std::int32_t draw(const std::vector<float>& logits, double temperature, double uniform) {
  const auto likeliest = std::max_element(logits.begin(), logits.end());
  if (temperature == 0.0) return static_cast<std::int32_t>(likeliest - logits.begin());
  std::vector<double> weights;
  double total = 0.0;
  for (const float logit : logits) {
    weights.push_back(std::exp((logit - *likeliest) / temperature));
    total += weights.back();
  }
  double left = uniform * total;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0.0) return static_cast<std::int32_t>(i);
  }
  return static_cast<std::int32_t>(likeliest - logits.begin());
}

}  // namespace

void continue_tokens(const Model& model, CpuDevice& device, std::vector<std::int32_t> tokens,
                     const ContinuationOptions& options, const std::function<void(std::int32_t)>& on_token) {
  const auto context = static_cast<std::size_t>(options.context);
  for (std::int64_t i = 0; i < options.tokens; ++i) {
    const std::span<const std::int32_t> window = std::span(tokens).last(std::min(tokens.size(), context));
    const PhiloxKey key = mix(options.seed, i);
    const float uniform = uniform_float(philox({}, key)[0]);
    tokens.push_back(draw(next_logits(model, device, window), options.temperature, uniform));
    on_token(tokens.back());
  }
}

}  // namespace convoy::worker
