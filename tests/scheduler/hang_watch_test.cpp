// Silence and hangs, and what becomes of who is found out.
#include "scheduler/hang_watch.h"

#include <gtest/gtest.h>

#include "tests/scheduler/membership_play.h"

namespace convoy::scheduler {
namespace {

using namespace cluster;
using namespace std::chrono_literals;
using Players = std::vector<int>;

TEST(HangWatchTest, WhoIsSilentAndDoesNotAnswerIsExcluded) {
  Play play(3, {.suspect = 5});
  play.enter_all();
  play.players[1].answers = false;
  for (int i = 0; i < 5; ++i) {
    play.pass(1s);
    play.beat(0, 3, Phase::kReducing);
    play.beat(2, 3, Phase::kReducing);
    if (i == 0) play.beat(1, 3, Phase::kForwardBackward);
  }
  EXPECT_TRUE(play.events("worker_silent").empty());
  play.pass(1s);
  play.beat(0, 3, Phase::kReducing);
  play.beat(2, 3, Phase::kReducing);
  play.pass(1s);
  ASSERT_EQ(play.events("worker_silent").size(), 1U);
  const std::string reason =
      "worker 1 (pid 4241) has been silent for 6 s; it was last in phase forward_backward of step 3";
  EXPECT_EQ(play.events("worker_silent")[0].detail, reason);
  play.pass(2s);
  ASSERT_FALSE(play.sent_to<Exclude>(play.agent).empty());
  EXPECT_EQ(play.sent_to<Exclude>(play.agent)[0].reason, reason);
  EXPECT_FALSE(play.sent_to<Exclude>(1).empty()) << "it may only have been asleep";
  play.killed(1);
  EXPECT_EQ(play.members(), (Players{0, 2}));
}

TEST(HangWatchTest, WhoIsSilentButAnswersStays) {
  Play play(2, {.suspect = 5});
  play.enter_all();
  for (int i = 0; i < 8; ++i) {
    play.pass(1s);
    play.beat(0, 3, Phase::kReducing);
  }
  EXPECT_EQ(play.members(), (Players{0, 1}));
  EXPECT_TRUE(play.sent_to<Exclude>(play.agent).empty());
}

class SilenceTest : public testing::TestWithParam<Phase> {};
INSTANTIATE_TEST_SUITE_P(Phases, SilenceTest,
                         testing::Values(Phase::kStarting, Phase::kForwardBackward, Phase::kEvaluating,
                                         Phase::kCheckpointing));

TEST_P(SilenceTest, IsNoticedWhateverTheOthersDo) {
  Play play(2, {.suspect = 5});
  play.enter_all();
  play.beat(1, 9, Phase::kEvaluating);
  for (std::uint64_t i = 0; i < 7; ++i) {
    play.beat(0, 9, GetParam(), i);
    play.pass(1s);
  }
  EXPECT_EQ(play.events("worker_silent").at(0).detail,
            "worker 1 (pid 4241) has been silent for 6 s; it was last in phase evaluating of step 9");
}

TEST(HangWatchTest, SilenceIsNoLossWhileStepsAreCompleted) {
  Play play(2, {.suspect = 5});
  play.enter_all();
  for (int step = 1; step <= 20; ++step) {
    play.pass(1s);
    play.steps(step);
  }
  EXPECT_TRUE(play.events("worker_silent").empty());
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 1U);
}

// Its reports are what the scheduler does not hear, so that only the others tell how long steps take.
TEST(HangWatchTest, StepsThatGetSlowerWithoutReportsGoOn) {
  Play play(3, {.suspect = 1, .hang = 30});
  play.enter_all();
  std::int64_t step = 1;
  for (const auto each : {800ms, 1'500ms, 2'500ms, 2'500ms}) {
    for (auto passed = 0ms; passed < each; passed += 100ms) {
      for (const int player : {1, 2}) play.beat(player, step, Phase::kReducing);
      play.pass(100ms);
    }
    ++step;
  }
  EXPECT_TRUE(play.events("worker_silent").empty());
  for (int i = 0; i < 60; ++i) {
    for (const int player : {1, 2}) play.beat(player, step, Phase::kReducing);
    play.pass(100ms);
  }
  EXPECT_EQ(play.events("worker_silent").size(), 1U) << "nothing is done with it any more";
}

TEST(HangWatchTest, ASchedulerThatSleptBlamesNobody) {
  Play play(2, {.suspect = 5, .hang = 30});
  play.enter_all();
  play.now += 100s;
  play.tick();
  EXPECT_TRUE(play.events("worker_silent").empty());
  EXPECT_TRUE(play.events("hang").empty());
}

TEST(HangWatchTest, AHangIsBlamedOnWhoeverDoesNotWait) {
  Play play(3, {.suspect = 5, .hang = 30});
  play.enter_all();
  for (int i = 0; i < 32; ++i) {
    play.beat(0, 9, Phase::kReducing);
    play.beat(1, 9, Phase::kForwardBackward);
    play.beat(2, 9, Phase::kWaiting);
    play.pass(1s);
  }
  const std::string reason =
      "worker 1 (pid 4241) hangs: no step was completed for 31 s and it is in phase forward_backward of step 9";
  EXPECT_EQ(play.events("hang").at(0).rank, 1);
  EXPECT_EQ(play.events("hang").at(0).detail, reason);
  EXPECT_EQ(play.events("worker_excluded").at(0).detail, reason);
  EXPECT_EQ(play.sent_to<Exclude>(play.agent).at(0).pid, 4241);
  EXPECT_EQ(play.told(), std::vector<std::string>{"step 9: " + reason + "; 2 workers go on"});
  play.killed(1, /*replaced=*/true);
  EXPECT_EQ(play.members(), (Players{0, 2}));
  play.enter(play.newcomer(1, 4711));
  EXPECT_EQ(play.members(), (Players{0, 2, 3}));
}

TEST(HangWatchTest, WithoutRebuildingAHangStopsTheRun) {
  Play play(MembershipOptions{.world = 2, .steps = Play::kSteps, .rebuilds = false, .limits = {.hang = 30}});
  play.enter_all();
  for (int i = 0; i < 32; ++i) {
    play.beat(0, 9, Phase::kReducing);
    play.beat(1, 9, Phase::kForwardBackward);
    play.pass(1s);
  }
  EXPECT_EQ(play.stop_of(0),
            "worker 1 (pid 4241) hangs: no step was completed for 31 s and it is in phase forward_backward of step 9");
}

TEST(HangWatchTest, WhereAllWaitTheyAreSealedOnce) {
  Play play(2, {.hang = 30});
  play.enter_all();
  const auto wait = [&] {
    for (int i = 0; i < 33; ++i) {
      play.beat(0, 9, Phase::kReducing);
      play.beat(1, 9, Phase::kReducing);
      play.pass(1s);
    }
  };
  wait();
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 2U) << "their communication is made anew";
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
  wait();
  EXPECT_EQ(play.stop_of(0), "the run hangs: no step was completed for 31 s and every worker waits at step 9");
}

TEST(HangWatchTest, AWorkerThatIsStoppedWhileAllWaitIsFound) {
  Play play(3, {.suspect = 1000, .hang = 5});
  play.enter_all();
  play.players[1].answers = false;
  play.beat(1, 9, Phase::kReducing);
  for (int i = 0; i < 8; ++i) {
    play.beat(0, 9, Phase::kReducing);
    play.beat(2, 9, Phase::kReducing);
    play.pass(1s);
  }
  EXPECT_EQ(play.sent_to<Exclude>(play.agent).at(0).pid, 4241);
}

TEST(HangWatchTest, AStepOfMinutesIsNoHangWhileAWorkerComputes) {
  Play play(2, {.hang = 30});
  play.enter_all();
  for (std::uint64_t i = 0; i < 100; ++i) {
    play.beat(0, 1, Phase::kReducing);
    play.beat(1, 1, Phase::kForwardBackward, i);
    play.pass(1s);
  }
  EXPECT_TRUE(play.events("hang").empty());
  for (int i = 0; i < 40; ++i) {
    play.beat(0, 1, Phase::kReducing);
    play.beat(1, 1, Phase::kForwardBackward, 99);
    play.pass(1s);
  }
  EXPECT_EQ(play.events("hang").size(), 1U) << "then it does hang";
}

TEST(HangWatchTest, AnEvaluationOfMinutesIsNoHangWhileAWorkerComputes) {
  Play play(2, {.hang = 30});
  play.enter_all();
  for (std::uint64_t i = 0; i < 100; ++i) {
    play.beat(0, 9, Phase::kEvaluating, i);
    play.beat(1, 9, Phase::kEvaluating);  // done with its part
    play.pass(1s);
  }
  EXPECT_TRUE(play.events("hang").empty());
  for (int i = 0; i < 40; ++i) {
    play.beat(0, 9, Phase::kEvaluating, 99);
    play.beat(1, 9, Phase::kEvaluating);
    play.pass(1s);
  }
  EXPECT_FALSE(play.events("hang").empty()) << "then it does hang";
}

TEST(HangWatchTest, AWorkerThatHangsAloneIsNamedWhileAnotherWritesACheckpoint) {
  Play play(2, {.hang = 30});
  play.enter_all();
  for (int i = 0; i < 33; ++i) {
    play.beat(0, 9, Phase::kCheckpointing);
    play.beat(1, 9, Phase::kForwardBackward);
    play.pass(1s);
  }
  EXPECT_EQ(play.events("hang").at(0).detail,
            "worker 1 (pid 4241) hangs: no step was completed for 31 s and it is in phase forward_backward of step 9");
}

class LongPhaseTest : public testing::TestWithParam<Phase> {};
INSTANTIATE_TEST_SUITE_P(Phases, LongPhaseTest, testing::Values(Phase::kStarting, Phase::kCheckpointing));

TEST_P(LongPhaseTest, IsNoHang) {
  Play play(2, {.hang = 30});
  play.enter_all();
  for (int i = 0; i < 100; ++i) {
    play.beat(0, 9, GetParam());
    play.beat(1, 9, Phase::kWaiting);
    play.pass(1s);
  }
  EXPECT_TRUE(play.events("hang").empty());
}

TEST(HangWatchTest, LongStepsAreNoHang) {
  Play play(1, {.hang = 30});
  play.enter_all();
  play.from(0, StepReport{.step = 1, .step_ms = 20'000});
  for (int i = 0; i < 95; ++i) {
    play.beat(0, 2, Phase::kForwardBackward);
    play.pass(1s);
  }
  EXPECT_TRUE(play.events("hang").empty());
  for (int i = 0; i < 10; ++i) {
    play.beat(0, 2, Phase::kForwardBackward);
    play.pass(1s);
  }
  EXPECT_EQ(play.events("hang").size(), 1U);
}

TEST(HangWatchTest, AStepThatWasHeldUpMakesTheNextHangNoLonger) {
  HangWatch watch(5, 30, Time{});
  const Ballot first{1, 1}, second{1, 2};
  watch.step_done({.step = 1, .step_ms = 2'000, .ballot = first}, Time{});
  watch.step_done({.step = 2, .step_ms = 31'000, .ballot = second}, Time{});  // a worker hung, and was excluded
  EXPECT_EQ(watch.limit_s(), 30);
  watch.step_done({.step = 3, .step_ms = 9'000, .ballot = second}, Time{});
  EXPECT_EQ(watch.limit_s(), 45);
}

TEST(HangWatchTest, TheLimitIsOfThePercentileOfTheLastSteps) {
  HangWatch watch(5, 30, Time{});
  watch.step_done({.step = 1, .step_ms = 100'000}, Time{});
  EXPECT_EQ(watch.limit_s(), 500);
  for (int step = 2; step <= 200; ++step) watch.step_done({.step = step, .step_ms = 8'000}, Time{});
  EXPECT_EQ(watch.limit_s(), 40);
  for (int step = 201; step <= 1200; ++step) watch.step_done({.step = step, .step_ms = 1'000}, Time{});
  EXPECT_EQ(watch.limit_s(), 30);
}

// Who is to be let in waits for steps that those who are in have yet to do.
TEST(HangWatchTest, AWorkerThatIsStoppedWhileAJoinerComesInIsFound) {
  Play play(3, {.suspect = 0.5, .hang = 1});
  play.enter_all();
  play.steps(9);
  for (Play::Player& player : play.players) player.answers = false;
  const int joiner = play.newcomer(-1, 100);
  play.enter(joiner);
  ASSERT_EQ(play.sent_to<Seal>(1).back().at_step, 11);
  play.players[0].answers = play.players[2].answers = true;
  const auto wait = [&](int tenths) {
    for (int i = 0; i < tenths; ++i) {
      for (const int player : {0, 2, joiner}) play.beat(player, 10, Phase::kReducing);
      play.pass(100ms);
    }
  };
  wait(12);
  EXPECT_TRUE(play.events("worker_excluded").empty());
  wait(6);
  EXPECT_EQ(play.events("hang").at(0).rank, 1);
  EXPECT_EQ(play.sent_to<Exclude>(play.agent).at(0).pid, 4241);
  play.killed(1);
  EXPECT_EQ(play.members(), (Players{0, 2, joiner})) << "with the joiner";
}

TEST(HangWatchTest, AJoinerThatIsSlowToAnswerIsNoHang) {
  Play play(2, {.suspect = 0.5, .hang = 1});
  play.enter_all();
  play.steps(9);
  const int joiner = play.newcomer(-1, 100);
  play.players[joiner].answers = false;
  play.enter(joiner);
  play.from(joiner, Ready{.step = 9});
  const auto wait = [&](int tenths) {
    for (int i = 0; i < tenths; ++i) {
      for (const int player : {0, 1}) play.beat(player, 11, Phase::kWaiting);
      play.beat(joiner, 9, Phase::kStarting);
      play.pass(100ms);
    }
  };
  wait(45);
  EXPECT_TRUE(play.events("hang").empty());
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 1U) << "they wait for it";
  wait(10);
  EXPECT_EQ(play.members(), (Players{0, 1})) << "but not for ever";
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 2U);
  EXPECT_TRUE(play.events("worker_excluded").empty());
}

TEST(HangWatchTest, AJoinerThatStopsIsKilled) {
  Play play(2, {.suspect = 5, .hang = 30});
  play.enter_all();
  const int joiner = play.newcomer(-1, 100);
  play.players[joiner].answers = false;
  play.enter(joiner);
  for (int step = 1; step <= 32; ++step) {
    play.steps(step);
    play.pass(1s);
  }
  EXPECT_EQ(play.sent_to<Exclude>(play.agent).at(0).pid, 100);
  play.killed(joiner);
  EXPECT_EQ(play.members(), (Players{0, 1}));
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 1U) << "the others did not notice";
}

}  // namespace
}  // namespace convoy::scheduler
