#include "worker/trained_model.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/recipe_changes.h"
#include "worker/checkpoint.h"
#include "worker/checkpoint_store.h"

namespace convoy::worker {
namespace {

void check_overrides(const Recipe& trained, const Recipe& recipe, const std::string& purpose) {
  for (const RecipeChange& change : recipe_changes(trained, recipe)) {
    if (std::find(kChangeableOnceTrained.begin(), kChangeableOnceTrained.end(), change.key) !=
        kChangeableOnceTrained.end())
      continue;
    fail(ErrorCode::kUsage, "{}: expected {}, with which the checkpoint was trained; {} may change {}",
         recipe.where(change.key), change.before, purpose, fmt::join(kChangeableOnceTrained, ", "));
  }
}

}  // namespace

TrainedModel open_trained_model(const TrainedModelOptions& options, const Workload& workload) {
  TrainedModel model;
  model.checkpoint = open_checkpoint(options.source, CheckpointPart::kParameters, options.warn);
  model.manifest = read_manifest(model.checkpoint);
  model.recipe = checkpoint_recipe(model.checkpoint, options.overrides, workload.program);
  check_overrides(checkpoint_recipe(model.checkpoint, {}, workload.program), model.recipe, options.purpose);
  Recipe recipe = model.recipe;
  if (!options.precision.empty()) recipe.train.precision = options.precision;
  model.dataset = workload.open_dataset(recipe);
  model.device = std::make_unique<CpuDevice>(static_cast<int>(recipe.train.threads));
  model.replica = std::make_unique<Replica>(recipe, workload.make_model(recipe, task_of(*model.dataset, recipe)),
                                            *model.device, ReplicaOptions{.state = ReplicaOptions::State::kZero});
  read_parameters(model.checkpoint, *model.replica);
  return model;
}

}  // namespace convoy::worker
