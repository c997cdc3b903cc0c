#include <algorithm>
#include <cmath>
#include <ostream>
#include <vector>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/graph/recorder.h"
#include "worker/checkpoint.h"
#include "worker/checkpoint_store.h"
#include "worker/commands.h"
#include "worker/replica.h"

namespace convoy::worker {
namespace {

constexpr std::int64_t kByteTokens = 256;

// The logits of the token that follows `tokens`.
std::vector<float> next_logits(const Replica& replica, std::span<const std::int32_t> tokens) {
  const Recorder recorder(replica.device(), {}, Recorder::Tape::kOff);
  const auto length = static_cast<std::int64_t>(tokens.size());
  const Tensor inputs = Tensor::of<std::int32_t>(replica.device(), {1, length}, tokens);
  const std::vector<float> logits = replica.model().logits(inputs, Mode::kInfer).to_vector<float>();
  return {logits.end() - kByteTokens, logits.end()};
}

// Draws from softmax(logits / temperature); `uniform` in [0, 1).
std::int32_t sample(const std::vector<float>& logits, double temperature, double uniform) {
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

void generate(const GenerateCommand& command, std::ostream& out) {
  const std::string checkpoint = open_checkpoint(command.source, CheckpointPart::kParameters, command.warn);
  const Recipe recipe = checkpoint_recipe(checkpoint);
  if (recipe.data.kind != "text")
    fail(ErrorCode::kUsage, "{}: expected a model of text, found data.kind = \"{}\"", checkpoint, recipe.data.kind);
  CpuDevice device(static_cast<int>(recipe.train.threads));
  const TaskSpec task{
      .dtype = DType::kI32, .shape = {recipe.data.context}, .classes = kByteTokens, .data_kind = recipe.data.kind};
  const Replica replica(recipe, make_model(recipe.model, task), device);
  read_parameters(checkpoint, replica);

  // Text starts on a new line where there is no prompt.
  const std::string start = command.prompt.empty() ? "\n" : command.prompt;
  std::vector<std::int32_t> tokens;
  for (const char c : start) tokens.push_back(static_cast<unsigned char>(c));
  out << command.prompt << std::flush;
  const auto context = static_cast<std::size_t>(recipe.data.context);
  for (std::int64_t i = 0; i < command.tokens; ++i) {
    const std::span<const std::int32_t> window = std::span(tokens).last(std::min(tokens.size(), context));
    const PhiloxKey key = mix(command.seed, i);
    const float uniform = uniform_float(philox({}, key)[0]);
    tokens.push_back(sample(next_logits(replica, window), command.temperature, uniform));
    out << static_cast<char>(tokens.back()) << std::flush;
  }
  out << "\n";
}

}  // namespace convoy::worker
