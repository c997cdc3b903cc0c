// Partitions between hosts, by real lost packets. Workers are started as mpirun's hydra starts them, and the scheduler
// is rank 0's child: no launcher replaces or kills anybody.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <thread>

#include "tests/chaos/faults/faulted_run.h"
#include "tests/support/pretend_hosts.h"

namespace convoy::chaos {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing_support::LaunchedRun;
using testing_support::PretendHosts;

constexpr int kHosts = 4;
constexpr int kApplied = 7;

class HostsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string obstacle = PretendHosts::obstacle(); !obstacle.empty()) GTEST_SKIP() << obstacle;
    hosts_.emplace(kHosts);
  }
  // One worker a host; all are slow in the step in which the network is to break. Each writes its exit code to a file.
  void start(const std::string& limits) {
    std::string script;
    for (int rank = 0; rank < kHosts; ++rank) {
      const std::string worker = fmt::format(
          "env CONVOY_AT={0}@reduce@{1}=WAIT+1000000 PMI_RANK={0} PMI_SIZE={2} MPI_LOCALRANKID=0 MPI_LOCALNRANKS=1 "
          "{3} train tiny.toml --run out sync.engine=gloo {4}",
          rank, kApplied, kHosts, CONVOY_PROGRAM, limits);
      script += fmt::format("(({}); echo $? >out/exit-{}) &\n", hosts_->on(rank, worker), rank);
    }
    run_.processes().start({"/bin/sh", "-c", "mkdir -p out; " + script + "wait"});
    ASSERT_TRUE(LaunchedRun::wait_until([&] { return run_.steps_recorded() >= kApplied; }, seconds(60)))
        << run_.account();
  }
  int exit_code_of(int rank) const {
    std::ifstream file(run_.folder() / fmt::format("exit-{}", rank));
    int code = -1;
    file >> code;
    return code;
  }
  Uuid uuid(int rank) const { return run_.epochs().front().epoch.members.at(static_cast<std::size_t>(rank)).uuid; }

  // Without these workers, and in good order for all others.
  void expect_undisturbed_without(const std::vector<int>& gone) {
    const auto end = run_.wait_end(seconds(90));
    ASSERT_TRUE(end.has_value()) << "it still runs\n" << run_.account();
    const auto epochs = run_.epochs();
    ASSERT_FALSE(epochs.empty()) << run_.account();
    EXPECT_EQ(epochs.size(), gone.empty() ? 1U : 2U);
    for (int rank = 0; rank < kHosts; ++rank) {
      const bool stays = std::ranges::count(gone, rank) == 0;
      EXPECT_EQ(std::ranges::count(epochs.back().epoch.members, uuid(rank), &cluster::Member::uuid), stays ? 1 : 0);
      EXPECT_EQ(exit_code_of(rank) == 0, stays) << "rank " << rank << " ended with " << exit_code_of(rank);
      std::filesystem::remove(run_.folder() / fmt::format("exit-{}", rank));
    }
    EXPECT_EQ(run_.left_behind(), "");
    Traces traces = run_.traces();
    traces.files = undisturbed().files;  // another way of starting, with files of its own
    EXPECT_EQ(differences(traces, undisturbed()), "");
    if (HasFailure()) ADD_FAILURE() << run_.account();
  }

  std::optional<PretendHosts> hosts_;
  FaultedRun run_;
};

const std::string kLimits = "fault.suspect=2 fault.hang=30 fault.heartbeat=0.1";

TEST_F(HostsTest, OfTwoHostsThatCannotReachEachOtherTheLowerStays) {
  ASSERT_NO_FATAL_FAILURE(start(kLimits));
  const int leaves = uuid(1) < uuid(2) ? 2 : 1;
  hosts_->cut(1, 2);
  expect_undisturbed_without({leaves});
}

TEST_F(HostsTest, AHostThatIsCutOffIsGoneOnWithout) {
  ASSERT_NO_FATAL_FAILURE(start(kLimits));
  hosts_->unplug(3);
  expect_undisturbed_without({3});
}

TEST_F(HostsTest, ACutThatHealsInTimeIsNone) {
  ASSERT_NO_FATAL_FAILURE(start("fault.suspect=10 fault.hang=30 fault.heartbeat=0.1"));
  hosts_->cut(1, 2);
  std::this_thread::sleep_for(milliseconds(1'500));
  hosts_->heal(1, 2);
  expect_undisturbed_without({});
}

}  // namespace
}  // namespace convoy::chaos
