// The second promise, with real processes: whoever is killed or stopped, at whatever instant, the run goes on, and no
// bit of what it leaves tells that anything happened.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <string>

#include "core/base/exit_code.h"
#include "tests/chaos/faults/fault_rows.h"
#include "tests/chaos/faults/faulted_run.h"

namespace convoy::chaos {
namespace {

using std::chrono::seconds;
using testing_support::LaunchedRun;

// Whoever was there from the beginning and was not struck stayed until the end.
void expect_survivors_stayed(const FaultedRun& run, const std::vector<int>& hit) {
  const std::vector<scheduler::EpochRecord> epochs = run.epochs();
  ASSERT_FALSE(epochs.empty());
  std::set<Uuid> stay;
  for (const cluster::Member& member : epochs.front().epoch.members) stay.insert(member.uuid);
  std::set<int> first;
  for (const Participant& participant : run.participants()) {
    const bool struck = std::ranges::count(hit, participant.number) > 0;
    // The first process of a number is the one that was struck.
    if (first.insert(participant.number).second && struck) stay.erase(participant.uuid);
  }
  for (const scheduler::EpochRecord& epoch : epochs) {
    for (const Uuid& uuid : stay) {
      EXPECT_EQ(std::ranges::count(epoch.epoch.members, uuid, &cluster::Member::uuid), 1)
          << uuid.to_string() << " is not in epoch " << epoch.ballot.to_string();
    }
  }
}

void expect_no_more_processes_than_needed(const FaultedRun& run, const Row& row) {
  const auto started = static_cast<std::size_t>(row.company.workers);
  const std::size_t struck = row.fault.hit.size() + static_cast<std::size_t>(row.fault.replacements_hit);
  EXPECT_LE(run.participants().size(), started + struck) << "somebody was restarted that was not struck";
}

void expect_undisturbed(const Row& row) {
  const Traces& expected = undisturbed();
  ASSERT_EQ(expected.steps.size(), static_cast<std::size_t>(kSteps));
  FaultedRun run;
  std::vector<std::string> launch = row.fault.launch;
  if (row.fault.waits) launch.insert(launch.end(), {"--min-workers", std::to_string(row.company.workers)});
  run.start(row.company, row.fault.at, launch);
  if (row.fault.continued_after_ms > 0) run.continue_stopped(std::chrono::milliseconds(row.fault.continued_after_ms));
  const auto end = run.wait_end(seconds(40));
  ASSERT_TRUE(end.has_value()) << "it still runs\n" << run.account();
  EXPECT_EQ(*end, (ExitStatus{.exit_code = row.fault.stops ? kExitStopped : 0, .signal = 0})) << run.account();
  EXPECT_EQ(run.left_behind(), "");
  expect_survivors_stayed(run, row.fault.hit);
  expect_no_more_processes_than_needed(run, row);
  if (!row.fault.may_miss) {
    const auto struck = static_cast<int>(row.fault.hit.size()) + row.fault.replacements_hit;
    EXPECT_GE(run.count_events("worker_lost"), struck) << "not everybody was struck";
  }
  if (row.fault.scheduler_hit && !row.fault.may_miss) {
    EXPECT_GE(run.count_events("scheduler_restarted"), 1) << "it was not struck";
  }
  if (row.fault.stops) {
    EXPECT_LT(run.steps_recorded(), kSteps);
    run.resume(row.company);
    const auto resumed = run.wait_end(seconds(40));
    EXPECT_TRUE(resumed && resumed->success());
    EXPECT_EQ(run.left_behind(), "");
  }
  Traces traces = run.traces();
  // Where it was stopped there is a checkpoint more.
  if (row.fault.stops) traces.files = expected.files;
  EXPECT_EQ(differences(traces, expected), "");
  if (testing::Test::HasFailure()) ADD_FAILURE() << "CONVOY_AT=\"" << row.fault.at << "\"\n" << run.account();
}

const auto name = [](const auto& info) { return name_of(info.param); };

class FaultTest : public testing::TestWithParam<Row> {};
TEST_P(FaultTest, ChangesNoBit) { expect_undisturbed(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Chosen, FaultTest, testing::ValuesIn(chosen_rows()), name);

// scripts/chaos.sh
class EveryFaultTest : public testing::TestWithParam<Row> {};
TEST_P(EveryFaultTest, DISABLED_ChangesNoBit) { expect_undisturbed(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, EveryFaultTest, testing::ValuesIn(all_rows()), name);

// Signals to the launcher reach everybody, too.
TEST(AskedLauncherTest, ARunThatIsAskedToEndGoesOnLater) {
  for (const int signal : {SIGTERM, SIGUSR1}) {
    const Company company{.workers = 3, .graph = "static", .engine = "local"};
    FaultedRun run;
    run.start(company);
    ASSERT_TRUE(LaunchedRun::wait_until([&] { return run.steps_recorded() >= 5; }, seconds(30))) << run.account();
    EXPECT_EQ(kill(run.processes().pid(), signal), 0);
    const auto end = run.wait_end(seconds(20));
    ASSERT_TRUE(end && *end == (ExitStatus{.exit_code = kExitStopped, .signal = 0})) << run.account();
    EXPECT_EQ(run.left_behind(), "");
    run.resume(company);
    const auto resumed = run.wait_end(seconds(40));
    EXPECT_TRUE(resumed && resumed->success()) << run.account();
    Traces traces = run.traces();
    traces.files = undisturbed().files;
    EXPECT_EQ(differences(traces, undisturbed()), "");
  }
}

}  // namespace
}  // namespace convoy::chaos
