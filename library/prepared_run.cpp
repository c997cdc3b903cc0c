#include "library/prepared_run.h"

#include <unistd.h>

#include "cluster/place.h"
#include "core/base/error.h"
#include "launcher/preparation.h"
#include "library/engine_choice.h"
#include "library/environment.h"
#include "library/run_plan.h"
#include "library/run_signals.h"
#include "library/scheduler_setup.h"
#include "worker/commands.h"

namespace convoy::library {

std::string name_of(const launcher::TrainLine& line, const worker::Workload& workload) {
  return line.recipe.empty() ? workload.program.name : line.recipe;
}

std::optional<std::string> run_directory_of(const launcher::TrainLine& line) {
  const std::optional<std::string> told = environment(cluster::kRunVariable);
  if (told && line.run && *told != *line.run)
    fail(ErrorCode::kUsage, "--run is given twice and different: {}, {}", *told, *line.run);
  return told ? told : line.run;
}

cluster::Place launched_place() {
  cluster::Place place;
  place.launcher = cluster::Launcher::kConvoy;
  place.detected_by = cluster::launcher_name(place.launcher);
  return place;
}

bool shown_instead_of_trained(const launcher::TrainLine& line, const Recipe& recipe, const worker::Workload& workload,
                              int workers, int local_workers, launcher::Output& output) {
  worker::check_inspection(recipe, line.inspection);
  worker::preflight(recipe, workload, workers, local_workers);
  const worker::InspectCommand command{.recipe = recipe,
                                       .workload = workload,
                                       .inspection = line.inspection,
                                       .workers = workers,
                                       .local_workers = local_workers};
  if (!line.inspection.instead_of_training()) {
    // One worker will say so itself; of several each would, after all that a launch takes.
    if (workers > 1 && recipe.train.graph == "static") worker::check_step_fits(command);
    return false;
  }
  worker::inspect(command, [&](const std::string& text) { output.line(launcher::Stream::kOutput, text); });
  return true;
}

std::optional<launcher::SchedulerLine> prepare_run(const launcher::TrainLine& line, const worker::Workload& workload,
                                                   int workers, const cluster::Place& place, launcher::Output& output) {
  const Recipe recipe = recipe_of(line, workload.program);
  if (workers > recipe.train.logical_shards) {
    fail(ErrorCode::kUsage, "-n {}: expected at most one worker a logical shard, of which there are {} ({})", workers,
         recipe.train.logical_shards, recipe.where("train.logical_shards"));
  }
  const bool mpi = uses_mpi(recipe, place);  // refuses what cannot be
  if (shown_instead_of_trained(line, recipe, workload, workers, workers, output)) return std::nullopt;
  const RunPlan plan = plan_run(run_directory_of(line), line.resume, recipe, name_of(line, workload), workload.program);
  for (const std::string& note : plan.notes) output.line(launcher::Stream::kOutput, "convoy: " + note);
  if (plan.finished) return std::nullopt;
  worker::check_profiled_steps(line.inspection, plan.resume_step);
  launcher::SchedulerLine scheduler = scheduler_line(plan, workload.program, workers);
  scheduler.rebuilds = !mpi;
  scheduler.http = line.http;
  return scheduler;
}

bool asked_to_prepare() { return environment(launcher::kPrepareDescriptorVariable).has_value(); }

int answer_launcher(const launcher::TrainLine& line, const worker::Workload& workload, launcher::Output& output) {
  ignore_broken_pipes();
  watch_launcher();
  launcher::check_launched_place(line);
  const int pipe = *inherited_number(launcher::kPrepareDescriptorVariable);
  const int workers = inherited_number(launcher::kPrepareWorkersVariable).value_or(1);
  const auto scheduler = prepare_run(line, workload, workers, launched_place(), output);
  const std::string answer =
      launcher::encode_words(scheduler ? launcher::to_arguments(*scheduler) : launcher::kFinishedAnswer);
  if (write(pipe, answer.data(), answer.size()) != static_cast<ssize_t>(answer.size()))
    fail(ErrorCode::kUnavailable, "cannot answer the launcher: {}", errno_text(errno));
  return 0;
}

}  // namespace convoy::library
