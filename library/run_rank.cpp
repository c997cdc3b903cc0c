#include "library/run_rank.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <exception>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "cluster/address.h"
#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/unique_fd.h"
#include "library/engine_choice.h"
#include "library/meeting.h"
#include "library/outcome.h"
#include "library/prepared_run.h"
#include "library/run_plan.h"
#include "library/scheduler_process.h"
#include "library/scheduler_setup.h"
#include "library/successor.h"
#include "worker/commands.h"

extern char** environ;

namespace convoy::library {
namespace {

using cluster::Launcher;
using launcher::Stream;

constexpr std::chrono::seconds kMeeting{60};           // for rank 0 to have started the scheduler
constexpr std::chrono::seconds kMpirun{2};             // mpirun has ended all ranks by then if rank 0 failed
constexpr std::chrono::seconds kSameFailure{3};        // rank 0 has called the run off by then if it failed alike
constexpr std::chrono::seconds kKeeper{3};             // for the one before, of a run that was killed, to be gone
constexpr std::chrono::milliseconds kFinish{10'000};   // for all ranks to leave MPI
constexpr std::chrono::milliseconds kLastWord{2'000};  // for rank 0 to say how the run ended

Recipe checked_recipe(const RankRun& run) {
  Recipe recipe = recipe_of(run.line, run.workload.program);
  if (run.place.world > recipe.train.logical_shards) {
    fail(ErrorCode::kUsage, "{} workers ({}): expected at most one a logical shard, of which there are {} ({})",
         run.place.world, run.place.detected_by, recipe.train.logical_shards, recipe.where("train.logical_shards"));
  }
  return recipe;
}

// What it takes to start the scheduler of `plan` here, if it is kept by such a rank.
SchedulerProcess::Options options_of(const RankRun& run, const RunPlan& plan) {
  launcher::SchedulerLine line = scheduler_line(plan, run.workload.program, run.place.world);
  line.http = run.line.http;
  if (run.place.spans_hosts()) line.listen = "tcp://0.0.0.0:0";
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  return {.line = std::move(line),
          .program =
              run.workload.program.name.empty() ? SchedulerProcess::Program::kConvoy : SchedulerProcess::Program::kOwn,
          .environment = std::move(environment),
          .rank = run.place.rank};
}

// mpirun gives its ranks pseudo-terminals of its own, whatever it writes to itself.
bool launcher_has_terminal() {
  const std::string its_output = fmt::format("/proc/{}/fd/1", getppid());
  const UniqueFd output(open(its_output.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  return output && isatty(output.get()) == 1;
}

class RankZero {
 public:
  explicit RankZero(const RankRun& run) : run_(run) {}

  int go() {
    try {
      if (!prepare()) {
        call_off(0);
        return 0;
      }
    } catch (const std::exception& error) {
      call_off(exit_code_of(as_error(error)));
      throw;
    }
    if (mpi_) {
      tell_through_mpi(*mpi_, whereabouts_, 0);
    } else {
      file_.emplace(run_directory_, *whereabouts_);
    }
    cluster::Place place = run_.place;
    place.scheduler = scheduler_->credentials();
    const int worker_code = run_.train(recipe_, run_directory_, place, mpi_.get(), {});
    const int scheduler_code = scheduler_->join();
    if (!scheduler_->reason().empty()) run_.output.line(Stream::kErrors, "convoy: " + scheduler_->reason());
    run_.output.drain(kLastWord);  // the first rank that exits with 75 has mpirun end the others
    if (mpi_) mpi_->finish(kFinish);
    return worker_code != 0 ? worker_code : scheduler_code;
  }

 private:
  // False: the run in the directory is done.
  bool prepare() {
    run_directory_ = common_run_directory(run_.line.run, name_of(run_.line, run_.workload), run_.place);
    recipe_ = checked_recipe(run_);
    const bool mpi = uses_mpi(recipe_, run_.place);
    shown_instead_of_trained(run_.line, recipe_, run_.workload, run_.place.world, run_.place.local_world, run_.output);
    if (mpi) mpi_ = start_mpi(run_.place, run_.environment);
    const std::string name = name_of(run_.line, run_.workload);
    const RunPlan plan = plan_run(run_directory_, run_.line.resume, recipe_, name, run_.workload.program);
    for (const std::string& note : plan.notes) run_.output.line(Stream::kOutput, "convoy: " + note);
    if (plan.finished) return false;
    worker::check_profiled_steps(run_.line.inspection, plan.resume_step);
    run_.output.line(Stream::kOutput, fmt::format("convoy: {} with {} workers ({}); records in {}", name,
                                                  run_.place.world, run_.place.detected_by, run_directory_));
    SchedulerProcess::Options options = options_of(run_, plan);
    options.line.rebuilds = !mpi;
    keeper_ = try_to_keep(run_directory_, kKeeper);
    scheduler_ = std::make_unique<SchedulerProcess>(options, run_.output);
    whereabouts_ = whereabouts_of(scheduler_->credentials(), run_.place, plan.resume_step);
    return true;
  }

  // mpirun ends the other ranks itself as soon as this one has failed.
  void call_off(int exit_code) {
    if (mpi_ && exit_code == 0) {
      tell_through_mpi(*mpi_, std::nullopt, exit_code);
      mpi_->finish(kFinish);
      return;
    }
    if ((run_.place.launcher == Launcher::kOpenMpi && exit_code != 0) || run_directory_.empty()) return;
    call_off_meeting(run_directory_, run_.place, exit_code);
  }

  const RankRun& run_;
  Recipe recipe_;
  std::string run_directory_;
  std::unique_ptr<distributed::MpiSession> mpi_;
  std::optional<launcher::RunLock> keeper_;  // the others see it held as long as this process lives
  std::unique_ptr<SchedulerProcess> scheduler_;
  std::optional<launcher::Whereabouts> whereabouts_;
  std::optional<MeetingFile> file_;
};

// Nothing: rank 0 has no word yet.
std::optional<Word> word_within(std::chrono::seconds timeout, const RankRun& run, const std::string& run_directory) {
  try {
    return wait_for_word(run_directory, run.place, timeout);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// The end of a rank that cannot take part. An error that rank 0 has too is not said again, one of this rank's own is:
// rank 0 may be well, and for want of this rank not even leave MPI's start.
int fail_beside_rank_0(const RankRun& run, const std::string& run_directory, const Error& error) {
  if (run.place.launcher == Launcher::kOpenMpi) {
    std::this_thread::sleep_for(kMpirun);
  } else if (run_directory.empty()) {
    return exit_code_of(error);  // of the command line, which is the same on all ranks
  } else if (const auto word = word_within(kSameFailure, run, run_directory); word && !word->scheduler) {
    return word->exit_code;
  }
  const std::string title = fmt::format("rank {} on {}", run.place.rank, cluster::host_name());
  throw Error(error.code(), fmt::format("{}: {}", title, error.what()));
}

// The one that comes in the place of the one that `word` tells of, and at its port.
SchedulerProcess::Options scheduler_after(const RankRun& run, const Recipe& recipe, const std::string& run_directory,
                                          const Word& word) {
  RunPlan plan;
  plan.recipe = recipe;
  plan.run_directory = run_directory;
  plan.resume_step = word.resume_step;
  SchedulerProcess::Options options = options_of(run, plan);
  const auto port = cluster::split_address(word.scheduler->address).port;
  options.line.listen = fmt::format("tcp://{}:{}", cluster::split_address(options.line.listen).host, port);
  options.token = word.scheduler->token;
  return options;
}

int run_other(const RankRun& run) {
  Recipe recipe;
  std::string run_directory;
  std::unique_ptr<distributed::MpiSession> mpi;
  try {
    run_directory = common_run_directory(run.line.run, name_of(run.line, run.workload), run.place);
    recipe = checked_recipe(run);
    if (uses_mpi(recipe, run.place)) mpi = start_mpi(run.place, run.environment);
  } catch (const std::exception& error) {
    return fail_beside_rank_0(run, run_directory, as_error(error));
  }
  const Word word = mpi ? hear_through_mpi(*mpi) : wait_for_word(run_directory, run.place, kMeeting);
  if (!word.scheduler) {
    if (mpi && word.exit_code == 0) mpi->finish(kFinish);
    return word.exit_code;
  }
  cluster::Place place = run.place;
  place.scheduler = word.scheduler;
  if (mpi) {
    const int code = run.train(recipe, run_directory, place, mpi.get(), {});
    mpi->finish(kFinish);
    return code;
  }
  Successor successor(run_directory, {.place = place,
                                      .scheduler = [&] { return scheduler_after(run, recipe, run_directory, word); },
                                      .output = run.output});
  const int code = run.train(recipe, run_directory, place, nullptr, [&] { return successor.find(); });
  const std::optional<int> scheduler_code = successor.join();
  if (!successor.reason().empty()) run.output.line(Stream::kErrors, "convoy: " + successor.reason());
  if (code == kExitStopped) wait_for_end_of_meeting(run_directory, kLastWord);
  return code != 0 ? code : scheduler_code.value_or(0);
}

// Of a run of such workers, by rank 0; the others, which have the same command line, have nothing to wait for.
int show(const RankRun& run) {
  if (run.place.rank != 0) return 0;
  const Recipe recipe = checked_recipe(run);
  uses_mpi(recipe, run.place);  // refuses what cannot be
  shown_instead_of_trained(run.line, recipe, run.workload, run.place.world, run.place.local_world, run.output);
  return 0;
}

}  // namespace

int run_rank(const RankRun& run) {
  if (!launcher_has_terminal()) run.output.draw_nothing();
  if (run.line.inspection.instead_of_training()) return show(run);
  return run.place.rank == 0 ? RankZero(run).go() : run_other(run);
}

}  // namespace convoy::library
