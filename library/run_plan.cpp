#include "library/run_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>
#include <filesystem>
#include <utility>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "core/base/recipe_changes.h"
#include "launcher/run_directory.h"
#include "launcher/run_lock.h"
#include "worker/checkpoint.h"
#include "worker/checkpoint_store.h"

namespace convoy::library {
namespace {

namespace fs = std::filesystem;

std::string recipe_path(const std::string& run_directory) { return run_directory + "/" + worker::kRecipeFile; }

// A run of another recipe is another run; what a resumed one may change is asked for by `resume`.
void check_same_recipe(const std::string& run_directory, const Recipe& recipe, const ProgramRecipe& program) {
  const auto changes = recipe_changes(load_recipe(recipe_path(run_directory), {}, program), recipe);
  if (changes.empty()) return;
  const RecipeChange& first = changes.front();
  fail(ErrorCode::kUsage, "run directory {} holds a run of another recipe: {}; name another one with --run{}",
       run_directory, first.to_string(),
       may_change_on_resume(first.key) ? fmt::format(", or go on with it: {} resume {} {}={}", program.command(),
                                                     run_directory, first.key, first.after)
                                       : "");
}

void take_up(RunPlan& plan, bool resume, const ProgramRecipe& program) {
  const std::string& run = plan.run_directory;
  worker::remove_leftovers(run);
  const worker::CheckpointSearch search = worker::find_whole_checkpoint(run, worker::CheckpointPart::kEverything);
  if (!search.step && !search.damaged.empty())
    fail(ErrorCode::kDataLoss, "{}: holds no whole checkpoint: {}", run, fmt::join(search.damaged, "; "));
  if (resume)
    check_changes_on_resume(recipe_changes(load_recipe(recipe_path(run), {}, program), plan.recipe), plan.recipe,
                            recipe_path(run));
  plan.resume_step = search.step.value_or(0);
  const std::int64_t steps = plan.recipe.train.steps;
  if (steps < plan.resume_step)
    fail(ErrorCode::kUsage, "{}: expected at least {}, the steps already done in {}, found {}",
         plan.recipe.where("train.steps"), plan.resume_step, run, steps);
  if (search.step) {
    const std::string checkpoint = worker::checkpoint_path(run, *search.step);
    check_changes_on_resume(recipe_changes(worker::checkpoint_recipe(checkpoint, {}, program), plan.recipe),
                            plan.recipe, checkpoint + "/" + worker::kRecipeFile);
  }
  plan.finished = plan.resume_step == steps && fs::exists(run + "/final.json");
  if (plan.finished) {
    if (!resume) fail(ErrorCode::kUsage, "run directory {} holds a finished run: name another one with --run", run);
    plan.notes.push_back(
        fmt::format("{} is done: all {} steps; train.steps=K goes on for more", run, plan.recipe.train.steps));
    return;
  }
  for (const std::string& line : search.damaged) plan.notes.push_back(fmt::format("warning: {}", line));
  plan.notes.push_back(search.step ? fmt::format("{} goes on after step {} of {}", run, plan.resume_step, steps)
                                   : fmt::format("{} begins again: it has no checkpoint yet", run));
}

// Sound, but hardly meant.
void note_oddities(RunPlan& plan) {
  const std::int64_t warmup = plan.recipe.optimizer.warmup_steps;
  const std::int64_t steps = plan.recipe.train.steps;
  if (warmup > steps)
    plan.notes.push_back(
        fmt::format("warning: {}: {} steps of warm-up in a run of {}: the learning rate never reaches optimizer.lr",
                    plan.recipe.where("optimizer.warmup_steps"), warmup, steps));
}

}  // namespace

Recipe recipe_of(const launcher::TrainLine& line, const ProgramRecipe& program) {
  if (line.resume && !fs::exists(line.recipe)) {
    fail(ErrorCode::kUsage, "{}: expected a run directory, {}", *line.run,
         fs::exists(*line.run) ? "which has a recipe.toml" : "which is not there");
  }
  if (line.resume && fs::exists(*line.run + "/" + worker::kManifestFile))
    fail(ErrorCode::kUsage, "{}: is a checkpoint; expected the run directory that it is in", *line.run);
  return load_recipe(line.recipe, line.overrides, program);
}

RunPlan plan_run(const std::optional<std::string>& told, bool resume, Recipe recipe, const std::string& name,
                 const ProgramRecipe& program) {
  RunPlan plan;
  plan.recipe = std::move(recipe);
  note_oddities(plan);
  if (resume) {
    plan.run_directory = *told;
    const launcher::RunLock lock(plan.run_directory);
    take_up(plan, true, program);
    return plan;
  }
  plan.run_directory = launcher::make_run_directory(told, name, std::time(nullptr));
  const bool holds_a_run = fs::exists(recipe_path(plan.run_directory));
  if (holds_a_run) check_same_recipe(plan.run_directory, plan.recipe, program);
  const launcher::RunLock lock(plan.run_directory);
  // Only now is nobody else at it.
  if (fs::exists(recipe_path(plan.run_directory))) {
    check_same_recipe(plan.run_directory, plan.recipe, program);
    take_up(plan, false, program);
  } else {
    write_durably(recipe_path(plan.run_directory), to_toml(plan.recipe));
  }
  return plan;
}

}  // namespace convoy::library
