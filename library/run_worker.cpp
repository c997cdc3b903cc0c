#include "library/run_worker.h"

#include <functional>
#include <optional>
#include <string>

#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/recipe.h"
#include "library/environment.h"
#include "library/inner_scheduler.h"
#include "library/prepared_run.h"
#include "library/run_signals.h"
#include "worker/commands.h"

namespace convoy::library {

using launcher::Stream;

int run_worker(const launcher::TrainLine& line, const worker::Workload& workload, launcher::Output& output,
               std::chrono::steady_clock::time_point started) {
  ignore_broken_pipes();
  watch_launcher();
  RunSignals signals(environment(cluster::kLifelineVariable).has_value());
  cluster::Place place = cluster::find_place(environment);
  const Recipe recipe = recipe_of(line, workload);
  const std::optional<std::string> told_directory = run_directory_of(line);
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
    if (!told_directory) fail(ErrorCode::kUsage, "a worker of {} needs --run DIR", place.detected_by);
    return train(*told_directory);
  }

  const launcher::SchedulerLine prepared = prepare_run(line, workload, 1);
  const std::string name = name_of(line, workload);
  output.line(Stream::kOutput, fmt::format("convoy: {} with 1 worker; records in {}", name, prepared.run));
  InnerScheduler scheduler(prepared, output);
  place.scheduler = scheduler.credentials();
  on_second_signal = [] { end_at_once("stopped in the middle of a step"); };
  const int worker_code = train(prepared.run);
  const int scheduler_code = scheduler.join();
  if (!scheduler.reason().empty()) output.line(Stream::kErrors, "convoy: " + scheduler.reason());
  return worker_code != 0 ? worker_code : scheduler_code;
}

}  // namespace convoy::library
