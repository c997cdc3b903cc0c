#include <ostream>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "worker/checkpoint.h"
#include "worker/checkpoint_store.h"
#include "worker/commands.h"
#include "worker/continuation.h"
#include "worker/replica.h"

namespace convoy::worker {
namespace {

constexpr std::int64_t kByteTokens = 256;

}  // namespace

void generate(const GenerateCommand& command, std::ostream& out) {
  const std::string checkpoint = open_checkpoint(command.source, CheckpointPart::kParameters, command.warn);
  const Recipe recipe = checkpoint_recipe(checkpoint);
  if (recipe.data.kind != "text")
    fail(ErrorCode::kUsage, "{}: expected a model of text, found data.kind = \"{}\"", checkpoint, recipe.data.kind);
  CpuDevice device(static_cast<int>(recipe.train.threads));
  const TaskSpec task{.dtype = DType::kI32,
                      .shape = {recipe.data.context},
                      .classes = kByteTokens,
                      .data_kind = recipe.data.kind,
                      .activations = activation_dtype(recipe.train)};
  const Replica replica(recipe, make_model(recipe.model, task), device, {.state = ReplicaOptions::State::kZero});
  read_parameters(checkpoint, replica);

  // Text starts on a new line where there is no prompt.
  const std::string start = command.prompt.empty() ? "\n" : command.prompt;
  std::vector<std::int32_t> tokens;
  for (const char c : start) tokens.push_back(static_cast<unsigned char>(c));
  out << command.prompt << std::flush;
  continue_tokens(replica.model(), device, std::move(tokens),
                  {.context = recipe.data.context,
                   .tokens = command.tokens,
                   .temperature = command.temperature,
                   .seed = command.seed},
                  [&](std::int32_t token) { out << static_cast<char>(token) << std::flush; });
  out << "\n";
}

}  // namespace convoy::worker
