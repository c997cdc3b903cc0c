#include "library/run_worker.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/recipe.h"
#include "library/engine_choice.h"
#include "library/environment.h"
#include "library/inner_scheduler.h"
#include "library/instants.h"
#include "library/lone_record.h"
#include "library/prepared_run.h"
#include "library/run_plan.h"
#include "library/run_rank.h"
#include "library/run_signals.h"
#include "worker/commands.h"

namespace convoy::library {

using launcher::Stream;

int run_worker(const launcher::TrainLine& line, const worker::Workload& workload, launcher::Output& output,
               std::chrono::steady_clock::time_point started) {
  ignore_broken_pipes();
  watch_launcher();
  const cluster::Place place = cluster::find_place(environment, line.place);
  const bool launched = environment(cluster::kLifelineVariable).has_value();
  RunSignals signals(launched          ? RunSignals::Early::kDies
                     : place.rank != 0 ? RunSignals::Early::kSilent
                                       : RunSignals::Early::kSaysSo);
  Logger logger;
  logger.redirect_terminal([&output](std::string_view text) { output.line(Stream::kErrors, text); });
  std::function<void()> on_second_signal;
  const int before = inherited_number(cluster::kReplacesVariable).value_or(0);
  const std::string who = std::to_string(place.rank) + std::string(static_cast<std::size_t>(before), '+');
  const auto train = [&](const Recipe& recipe, const std::string& run_directory, const cluster::Place& known,
                         distributed::MpiSession* mpi, const std::function<cluster::Credentials()>& find_scheduler) {
    const worker::TrainCommand command{
        .recipe = recipe,
        .workload = workload,
        .run_directory = run_directory,
        .place = known,
        .environment = environment,
        .take_signals = [&]() -> SignalReceiver& { return signals.take(); },
        .started = started,
        .on_second_signal = on_second_signal,
        .find_scheduler = find_scheduler,
        .mpi = mpi,
        .inspection = line.inspection,
        .print = [&](const std::string& text) { output.line(Stream::kOutput, text); },
        .record = [&](const std::vector<cluster::Body>& reports) { record_reports(run_directory, reports); },
        .at_instant = instants_of(who, environment)};
    return worker::train(command, logger);
  };
  if (place.world > 1 && !place.scheduler) {
    return run_rank({.line = line,
                     .workload = workload,
                     .output = output,
                     .place = place,
                     .environment = environment,
                     .train = train});
  }

  const Recipe recipe = recipe_of(line, workload.program);
  const bool uses = uses_mpi(recipe, place);
  if (place.scheduler) {
    const std::optional<std::string> told_directory = run_directory_of(line);
    if (!told_directory)
      fail(ErrorCode::kUsage, "a worker of {} needs --run DIR", cluster::launcher_name(place.launcher));
    return train(recipe, *told_directory, place, nullptr, {});
  }

  const std::optional<launcher::SchedulerLine> prepared = prepare_run(line, workload, 1, place, output);
  if (!prepared) return 0;
  const std::unique_ptr<distributed::MpiSession> mpi = uses ? start_mpi(place, environment) : nullptr;
  const std::string name = name_of(line, workload);
  output.line(Stream::kOutput, fmt::format("convoy: {} with 1 worker; records in {}", name, prepared->run));
  InnerScheduler scheduler(*prepared, output);
  cluster::Place known = place;
  known.scheduler = scheduler.credentials();
  on_second_signal = [] { end_at_once("stopped in the middle of a step"); };
  const int worker_code = train(recipe, prepared->run, known, mpi.get(), {});
  const int scheduler_code = scheduler.join();
  if (!scheduler.reason().empty()) output.line(Stream::kErrors, "convoy: " + scheduler.reason());
  if (mpi) mpi->finish(std::chrono::seconds(10));
  return worker_code != 0 ? worker_code : scheduler_code;
}

}  // namespace convoy::library
