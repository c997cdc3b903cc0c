#include "worker/resume.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/recipe_changes.h"
#include "worker/checkpoint_store.h"

namespace convoy::worker {

Manifest resume_from(const std::string& run_directory, std::int64_t step, const Recipe& recipe,
                     const ProgramRecipe& program, const Dataset& dataset, const Replica& replica) {
  const std::string checkpoint = checkpoint_path(run_directory, step);
  check_changes_on_resume(recipe_changes(checkpoint_recipe(checkpoint, {}, program), recipe), recipe,
                          checkpoint + "/" + kRecipeFile);
  if (recipe.train.steps < step)
    fail(ErrorCode::kUsage, "{}: expected at least {}, the steps already done, found {}", recipe.where("train.steps"),
         step, recipe.train.steps);
  Manifest manifest = read_manifest(checkpoint);
  if (manifest.data_digest != dataset.digest())
    fail(ErrorCode::kUsage, "{}: {} does not hold the data that the run was trained on until step {}",
         recipe.where("data.path"), recipe.data.path, step);
  return read_state(checkpoint, replica);
}

std::string describe_resume(const std::string& run_directory, const Manifest& manifest, const Recipe& recipe,
                            const ProgramRecipe& program, std::int32_t world) {
  const std::string checkpoint = checkpoint_path(run_directory, manifest.step);
  std::string text =
      fmt::format("from {} (ballot {}, {} {}); now {} {}", checkpoint, manifest.ballot.to_string(), manifest.world,
                  manifest.world == 1 ? "worker" : "workers", world, world == 1 ? "worker" : "workers");
  for (const RecipeChange& change : recipe_changes(checkpoint_recipe(checkpoint, {}, program), recipe))
    text += "; " + change.to_string();
  return text;
}

std::vector<std::string> set_aside_later(const std::string& run_directory, std::int64_t step) {
  std::vector<std::string> lines;
  for (const std::int64_t later : checkpoint_steps(run_directory)) {
    if (later <= step) continue;
    lines.push_back(
        find_damage(run_directory, later)
            .value_or(fmt::format("{}: the run goes on from step {}", checkpoint_path(run_directory, later), step)));
    set_aside(run_directory, later);
  }
  return lines;
}

}  // namespace convoy::worker
