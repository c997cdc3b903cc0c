#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/quantity.h"
#include "distributed/solo.h"
#include "worker/batches.h"
#include "worker/commands.h"
#include "worker/evaluation.h"
#include "worker/trained_model.h"

namespace convoy::worker {

CheckpointEvaluation evaluate_checkpoint(const EvalCommand& command) {
  const TrainedModel model = open_trained_model(
      {.source = command.source, .overrides = command.overrides, .purpose = "an evaluation", .warn = command.warn},
      command.workload);
  const Recipe& recipe = model.recipe;
  Batches batches(*model.dataset, recipe.train, *model.device);
  batches.read_ahead(recipe.data, 0, 1);
  distributed::SoloCommunicator alone;
  const std::optional<Evaluation> result = evaluate(*model.replica, batches, alone);
  if (!result) fail(ErrorCode::kUsage, "{}: holds nothing back to evaluate on", recipe.where("data.path"));
  return {.checkpoint = model.checkpoint,
          .step = model.manifest.step,
          .loss = result->loss,
          .accuracy = result->accuracy,
          .samples = model.dataset->size(Split::kEval)};
}

std::string to_text(const CheckpointEvaluation& evaluation) {
  return fmt::format("{}: held-out loss {:.4f}, accuracy {:.2f} % of {} samples", evaluation.checkpoint,
                     unsigned_nan(evaluation.loss), 100 * evaluation.accuracy, evaluation.samples);
}

std::string to_json(const CheckpointEvaluation& evaluation) {
  return fmt::format(R"({{"checkpoint": {}, "step": {}, "eval_loss": {}, "eval_accuracy": {}, "samples": {}}})",
                     nlohmann::json(evaluation.checkpoint).dump(), evaluation.step,
                     std::isfinite(evaluation.loss) ? fmt::format("{:.17g}", evaluation.loss) : "null",
                     evaluation.accuracy, evaluation.samples);
}

}  // namespace convoy::worker
