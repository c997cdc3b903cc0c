// What a run makes of a scheduler that dies more often than it is replaced: the state is not lost.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <functional>
#include <optional>
#include <regex>
#include <string>

#include "core/base/exit_code.h"
#include "tests/chaos/faults/faulted_run.h"

namespace convoy::chaos {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing_support::LaunchedRun;

const Company kThree{.workers = 3, .graph = "static", .engine = "local"};

const Traces& undisturbed_and_long() {
  static const Traces traces = train_undisturbed({"train.steps=400"});
  return traces;
}

pid_t scheduler_of(FaultedRun& run, pid_t former = -1) {
  std::optional<pid_t> found;
  EXPECT_TRUE(LaunchedRun::wait_until(
      [&] {
        found = run.processes().with_command("scheduler");
        return found && *found != former;
      },
      seconds(30)))
      << run.account();
  return found.value_or(-1);
}

void wait_for(FaultedRun& run, const std::function<bool()>& done) {
  ASSERT_TRUE(LaunchedRun::wait_until(done, seconds(30))) << run.account();
}

void expect_stopped(FaultedRun& run, const std::string& pattern) {
  const auto end = run.wait_end(seconds(90));
  ASSERT_TRUE(end.has_value()) << "it still runs\n" << run.account();
  EXPECT_EQ(*end, (ExitStatus{.exit_code = kExitStopped, .signal = 0})) << run.account();
  EXPECT_EQ(run.left_behind(), "");
  EXPECT_TRUE(std::regex_search(run.processes().errors(), std::regex(pattern))) << run.account();
}

void expect_goes_on(FaultedRun& run) {
  run.resume(kThree);
  const auto end = run.wait_end(seconds(60));
  ASSERT_TRUE(end && end->success()) << run.account();
  Traces traces = run.traces();
  traces.files = undisturbed_and_long().files;
  EXPECT_EQ(differences(traces, undisturbed_and_long()), "") << run.account();
}

TEST(NoSchedulerTest, OneThatDiesTooOftenEndsTheRunInOrder) {
  undisturbed_and_long();
  FaultedRun run;
  run.start(kThree, "", {"--max-restarts", "1"}, {"train.steps=400"});
  wait_for(run, [&] { return run.steps_recorded() >= 15; });
  const pid_t first = scheduler_of(run);
  kill(first, SIGKILL);
  wait_for(run, [&] { return run.count_events("scheduler_restarted") > 0; });
  kill(scheduler_of(run, first), SIGKILL);
  expect_stopped(run, "convoy: the scheduler was restarted too often after step [0-9]+[^\n]* to go on\n$");
  expect_goes_on(run);
}

// None that is started anew gets as far as to listen.
TEST(NoSchedulerTest, WhereNoneCanBeHadTheWorkersSaveTheState) {
  undisturbed_and_long();
  FaultedRun run;
  run.start(kThree, "", {"--max-restarts", "0"}, {"train.steps=400"});
  wait_for(run, [&] { return run.steps_recorded() >= 15; });
  const fs::path needed = run.folder() / "run-id";
  const fs::path away = run.folder() / "run-id.away";
  fs::rename(needed, away);
  fs::create_directory(needed);
  kill(scheduler_of(run), SIGKILL);
  expect_stopped(run, "convoy: the scheduler [^\n]*; no restarts are left, stopped after a checkpoint\n$");
  fs::remove(needed);
  fs::rename(away, needed);
  std::int64_t newest = 0;
  for (const auto& entry : fs::directory_iterator(run.folder() / "checkpoints"))
    newest = std::max<std::int64_t>(newest, std::stoll(entry.path().filename().string().substr(5)));
  EXPECT_EQ(run.steps_recorded(), newest) << "the lines of all steps in the checkpoint are there";
  EXPECT_GT(newest, 15);
  expect_goes_on(run);
}

}  // namespace
}  // namespace convoy::chaos
