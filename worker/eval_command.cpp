#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/base/error.h"
#include "core/base/recipe_changes.h"
#include "distributed/solo.h"
#include "worker/batches.h"
#include "worker/checkpoint.h"
#include "worker/checkpoint_store.h"
#include "worker/commands.h"
#include "worker/evaluation.h"
#include "worker/replica.h"

namespace convoy::worker {
namespace {

// Where the data lie and what computes: everything else decides what was trained.
constexpr std::array<std::string_view, 6> kChangeable = {"data.path",     "data.threads", "data.prefetch",
                                                         "train.threads", "train.device", "train.graph"};

void check_overrides(const Recipe& trained, const Recipe& recipe) {
  for (const RecipeChange& change : recipe_changes(trained, recipe)) {
    if (std::find(kChangeable.begin(), kChangeable.end(), change.key) != kChangeable.end()) continue;
    fail(ErrorCode::kUsage, "{}: expected {}, with which the checkpoint was trained; an evaluation may change {}",
         recipe.where(change.key), change.before, fmt::join(kChangeable, ", "));
  }
}

}  // namespace

CheckpointEvaluation evaluate_checkpoint(const EvalCommand& command) {
  const std::string checkpoint = open_checkpoint(command.source, CheckpointPart::kParameters, command.warn);
  const Recipe recipe = checkpoint_recipe(checkpoint, command.overrides, command.workload.program);
  check_overrides(checkpoint_recipe(checkpoint, {}, command.workload.program), recipe);
  const std::unique_ptr<Dataset> dataset = command.workload.open_dataset(recipe);
  CpuDevice device(static_cast<int>(recipe.train.threads));
  Replica replica(recipe, command.workload.make_model(recipe, task_of(*dataset, recipe)), device);
  read_parameters(checkpoint, replica);
  Batches batches(*dataset, recipe.train, device);
  batches.read_ahead(recipe.data, 0, 1);
  distributed::SoloCommunicator alone;
  const std::optional<Evaluation> result = evaluate(replica, batches, alone);
  if (!result) fail(ErrorCode::kUsage, "{}: holds nothing back to evaluate on", recipe.where("data.path"));
  return {.checkpoint = checkpoint,
          .step = read_manifest(checkpoint).step,
          .loss = result->loss,
          .accuracy = result->accuracy,
          .samples = dataset->size(Split::kEval)};
}

std::string to_text(const CheckpointEvaluation& evaluation) {
  return fmt::format("{}: held-out loss {:.4f}, accuracy {:.2f} % of {} samples", evaluation.checkpoint,
                     evaluation.loss, 100 * evaluation.accuracy, evaluation.samples);
}

std::string to_json(const CheckpointEvaluation& evaluation) {
  return fmt::format(R"({{"checkpoint": {}, "step": {}, "eval_loss": {}, "eval_accuracy": {}, "samples": {}}})",
                     nlohmann::json(evaluation.checkpoint).dump(), evaluation.step,
                     std::isfinite(evaluation.loss) ? fmt::format("{:.17g}", evaluation.loss) : "null",
                     evaluation.accuracy, evaluation.samples);
}

}  // namespace convoy::worker
