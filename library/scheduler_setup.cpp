#include "library/scheduler_setup.h"

#include <filesystem>
#include <utility>

namespace convoy::library {

launcher::SchedulerLine scheduler_line(const RunPlan& plan, const ProgramRecipe& program, int workers) {
  const Recipe& recipe = plan.recipe;
  return {.run = plan.run_directory,
          .listen = "tcp://127.0.0.1:0",
          .workers = workers,
          .max_workers = static_cast<int>(recipe.train.logical_shards),
          .steps = recipe.train.steps,
          .resume_step = plan.resume_step,
          .program = program.command(),
          .suspect_s = recipe.fault.suspect_s,
          .hang_s = recipe.fault.hang_s};
}

scheduler::SchedulerOptions scheduler_options(const launcher::SchedulerLine& line, std::string token) {
  scheduler::SchedulerOptions options;
  options.run_directory = line.run;
  options.listen = line.listen;
  options.token = std::move(token);
  options.world = line.workers;
  options.min_workers = line.min_workers;
  options.max_workers = line.max_workers;
  options.rebuilds = line.rebuilds;
  options.restarted = line.restarted;
  options.steps = line.steps;
  options.resume_step = line.resume_step;
  options.program = line.program;
  options.http = line.http;
  options.limits.suspect = line.suspect_s;
  options.limits.hang = line.hang_s;
  return options;
}

Logger& log_to_file(Logger& logger, const std::string& run_directory) {
  std::filesystem::create_directories(run_directory + "/logs");
  logger.add_file(run_directory + "/logs/scheduler.log");
  logger.mute_terminal();
  return logger;
}

}  // namespace convoy::library
