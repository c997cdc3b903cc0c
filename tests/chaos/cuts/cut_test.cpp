// Partitions: workers that live and cannot reach each other, or the scheduler. The largest set that can goes on, who
// only the scheduler does not hear stays, and no bit of what the run leaves tells of it.
#include "tests/chaos/cuts/cut.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>

#include "tests/chaos/faults/faulted_run.h"

namespace convoy::chaos {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing_support::LaunchedRun;

// Steps that were applied when the network breaks.
constexpr int kApplied = 7;
// Silence is noticed after two seconds, and nothing else is for long.
const std::vector<std::string> kLimits = {"fault.suspect=2", "fault.hang=30", "fault.heartbeat=0.1"};

class CutTest : public testing::Test {
 protected:
  void SetUp() override {
    // The same is asked of the workers, which are children of a child.
    if (!testing_support::can_silence(getpid())) GTEST_SKIP() << "this system does not permit pidfd_getfd";
  }

  // All workers take so long over these steps.
  static std::string slow_steps(int workers, int first, int last, milliseconds each) {
    std::string text;
    for (int worker = 0; worker < workers; ++worker) {
      for (int step = first; step <= last; ++step)
        text += fmt::format("{}@reduce@{}=WAIT+{} ", worker, step, each.count() * 1000);
    }
    return text;
  }
  // A run of so many workers, held up in the step in which the network is to break, and later, for as long as it takes
  // to replace those who are excluded.
  void start(int workers) {
    start(workers, slow_steps(workers, kApplied, kApplied, seconds(2)) + slow_steps(workers, 15, 26, milliseconds(300)),
          kLimits);
  }
  void start(int workers, const std::string& at, const std::vector<std::string>& limits) {
    company_.workers = workers;
    run_.start(company_, at, {}, limits);
    // While they come: on a busy machine looking for processes takes longer than they are held up.
    ASSERT_TRUE(LaunchedRun::wait_until([&] { return run_.count_events("worker_joined") >= workers; }, seconds(60)))
        << run_.account();
    for (int number = 0; number < workers; ++number) workers_.push_back(pid_of(number));
    scheduler_ = run_.processes().with_command("scheduler").value_or(0);
    ASSERT_GT(scheduler_, 0) << run_.account();
    wait_for_step(kApplied);
  }
  // As the scheduler was told: "pid 4242 on node".
  pid_t pid_of(int number) const {
    for (const std::string& line : lines_of(run_.folder() / "events.jsonl")) {
      const auto event = nlohmann::json::parse(line);
      if (event.at("kind") == "worker_joined" && event.at("rank") == number)
        return static_cast<pid_t>(std::stol(event.at("detail").get<std::string>().substr(4)));
    }
    ADD_FAILURE() << "no worker " << number;
    return -1;
  }
  void wait_for_step(std::int64_t step) {
    ASSERT_TRUE(LaunchedRun::wait_until([&] { return run_.steps_recorded() >= step; }, seconds(60))) << run_.account();
  }

  std::vector<pid_t> pids(const std::vector<int>& numbers) const {
    std::vector<pid_t> found;
    for (const int number : numbers) found.push_back(workers_.at(static_cast<std::size_t>(number)));
    return found;
  }
  // Of the first process with this number.
  Uuid uuid(int number) const {
    for (const Participant& participant : run_.participants())
      if (participant.number == number) return participant.uuid;
    return {};
  }
  int lowest_of(const std::vector<int>& numbers) const {
    return *std::ranges::min_element(numbers, {}, [this](int number) { return uuid(number); });
  }

  // It ends as if nothing had happened. `gone`: the workers that were excluded, and nobody else.
  void expect_undisturbed(const std::set<int>& gone, bool at_once = true) {
    const auto end = run_.wait_end(seconds(90));
    ASSERT_TRUE(end.has_value()) << "it still runs\n" << run_.account();
    EXPECT_TRUE(end->success()) << run_.account();
    EXPECT_EQ(run_.left_behind(), "");
    EXPECT_EQ(differences(run_.traces(), undisturbed()), "");
    EXPECT_EQ(run_.count_events("worker_excluded"), std::ssize(gone));
    EXPECT_EQ(run_.participants().size(), static_cast<std::size_t>(company_.workers) + gone.size())
        << "who is excluded is replaced, and nobody else";
    std::set<int> left;
    for (int number = 0; number < company_.workers; ++number) {
      const Uuid worker = uuid(number);
      const auto epochs = run_.epochs();
      ASSERT_FALSE(epochs.empty());
      if (std::ranges::count(epochs.back().epoch.members, worker, &cluster::Member::uuid) == 0) left.insert(number);
    }
    EXPECT_EQ(left, gone);
    if (gone.empty()) {
      EXPECT_EQ(run_.epochs().size(), 1U) << "nothing was to happen";
    } else if (at_once) {
      // The next epoch is theirs who are left, all of them.
      const auto& members = run_.epochs().at(1).epoch.members;
      EXPECT_EQ(members.size(), static_cast<std::size_t>(company_.workers) - gone.size());
      for (const int number : gone) EXPECT_EQ(std::ranges::count(members, uuid(number), &cluster::Member::uuid), 0);
    }
    if (HasFailure()) ADD_FAILURE() << run_.account();
  }

  Company company_{.workers = 3, .graph = "static", .engine = "gloo"};
  FaultedRun run_;
  std::vector<pid_t> workers_;
  pid_t scheduler_ = 0;
};

// Two of three: each of them and the third one are as many.
TEST_F(CutTest, OfTwoThatCannotReachEachOtherTheLowerStays) {
  ASSERT_NO_FATAL_FAILURE(start(3));
  const Cut cut = Cut::between(pids({0}), pids({1}));
  EXPECT_GE(cut.ends(), 4U);
  expect_undisturbed({lowest_of({0, 1}) == 0 ? 1 : 0});
}

TEST_F(CutTest, OfTwoAloneTheLowerStays) {
  ASSERT_NO_FATAL_FAILURE(start(2));
  const Cut cut = Cut::between(pids({0}), pids({1}));
  expect_undisturbed({lowest_of({0, 1}) == 0 ? 1 : 0});
}

// Who is cut off hears the scheduler, and is heard.
TEST_F(CutTest, TheLargerSideStays) {
  ASSERT_NO_FATAL_FAILURE(start(4));
  const Cut cut = Cut::between(pids({0}), pids({1, 2, 3}));
  expect_undisturbed({0});
}

TEST_F(CutTest, OfTwoEqualSidesThatOfTheLowestStays) {
  ASSERT_NO_FATAL_FAILURE(start(4));
  const Cut cut = Cut::between(pids({0, 2}), pids({1, 3}));
  const int lowest = lowest_of({0, 1, 2, 3});
  // Of those who go, one may notice before the other that there is nobody.
  expect_undisturbed(lowest % 2 == 0 ? std::set{1, 3} : std::set{0, 2}, false);
}

// From its peers and the scheduler; its launcher is there to kill it.
class IsolatedTest : public CutTest, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Workers, IsolatedTest, testing::Values(0, 2));

TEST_P(IsolatedTest, WhoIsCutOffFromEverybodyIsReplaced) {
  ASSERT_NO_FATAL_FAILURE(start(3));
  const Cut cut = Cut::around(pids({GetParam()}).front());
  expect_undisturbed({GetParam()});
}

TEST_F(CutTest, ACutThatHealsInTimeIsNone) {
  ASSERT_NO_FATAL_FAILURE(start(3, slow_steps(3, kApplied, kApplied, milliseconds(500)),
                                {"fault.suspect=10", "fault.hang=30", "fault.heartbeat=0.1"}));
  {
    const Cut cut = Cut::between(pids({0}), pids({1}));
    const std::int64_t before = run_.steps_recorded();
    std::this_thread::sleep_for(milliseconds(1'500));
    EXPECT_LE(run_.steps_recorded(), before + 1) << "it was not cut";
  }
  expect_undisturbed({});
}

// While its peers complete steps with it, nobody is excluded for what the scheduler does not hear of it.
class SchedulerCutTest : public CutTest, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Workers, SchedulerCutTest, testing::Values(0, 1));

TEST_P(SchedulerCutTest, WhoOnlyTheSchedulerDoesNotHearStays) {
  // Steps of a quarter of a second, for far longer than silence is suspicious; they are all there is to tell that the
  // worker lives until its line stands again, which is some time after the network does.
  ASSERT_NO_FATAL_FAILURE(start(3, slow_steps(3, kApplied, kSteps, milliseconds(250)),
                                {"fault.suspect=2", "fault.hang=30", "fault.heartbeat=0.1",
                                 // the second one would wait for the first one, and that for the scheduler
                                 "checkpoint.every=100"}));
  {
    const Cut cut = Cut::between(pids({GetParam()}), {scheduler_});
    EXPECT_GE(cut.ends(), 2U);
    const std::int64_t before = run_.steps_recorded();
    std::this_thread::sleep_for(milliseconds(4'500));
    if (GetParam() == 0) {
      EXPECT_LE(run_.steps_recorded(), before + 1) << "it was not cut";
    } else {
      EXPECT_GT(run_.steps_recorded(), before + 3) << "the others go on with it";
    }
    EXPECT_EQ(run_.epochs().size(), 1U);
  }
  expect_undisturbed({});
}

}  // namespace
}  // namespace convoy::chaos
