#include "library/run_worker.h"

#include <functional>
#include <string>

#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/recipe.h"
#include "library/environment.h"
#include "library/inner_scheduler.h"
#include "library/run_plan.h"
#include "library/run_signals.h"
#include "library/scheduler_setup.h"
#include "worker/commands.h"

namespace convoy::library {

using launcher::Stream;

int run_worker(const launcher::TrainLine& line, const worker::Workload& workload, launcher::Output& output,
               std::chrono::steady_clock::time_point started) {
  ignore_broken_pipes();
  watch_launcher();
  RunSignals signals(environment(cluster::kLifelineVariable).has_value());
  cluster::Place place = cluster::find_place(environment);
  const Recipe recipe = recipe_of(line, workload.program);
  Logger logger;
  logger.redirect_terminal([&output](std::string_view text) { output.line(Stream::kErrors, text); });
  std::function<void()> on_second_signal;
  const auto train = [&](const std::string& run_directory) {
    const worker::TrainCommand command{.recipe = recipe,
                                       .workload = workload,
                                       .run_directory = run_directory,
                                       .place = place,
                                       .environment = environment,
                                       .take_signals = [&]() -> SignalReceiver& { return signals.take(); },
                                       .started = started,
                                       .on_second_signal = on_second_signal};
    return worker::train(command, logger);
  };
  if (place.scheduler) {
    if (!line.run) fail(ErrorCode::kUsage, "convoy train: a worker of {} needs --run DIR", place.detected_by);
    return train(*line.run);
  }

  worker::preflight(recipe, workload);
  const RunPlan plan = plan_run(line, recipe, workload.program);
  for (const std::string& note : plan.notes) output.line(Stream::kOutput, "convoy: " + note);
  if (plan.finished) return 0;
  output.line(Stream::kOutput, fmt::format("convoy: {} with 1 worker; records in {}", line.recipe, plan.run_directory));
  InnerScheduler scheduler(scheduler_line(plan, 1), output);
  place.scheduler = scheduler.credentials();
  on_second_signal = [] { end_at_once("stopped in the middle of a step"); };
  const int worker_code = train(plan.run_directory);
  const int scheduler_code = scheduler.join();
  if (!scheduler.reason().empty()) output.line(Stream::kErrors, "convoy: " + scheduler.reason());
  return worker_code != 0 ? worker_code : scheduler_code;
}

}  // namespace convoy::library
