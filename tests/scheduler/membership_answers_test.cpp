// How long an invitation to an epoch is left open: to whom is heard until it hangs, and to the last who hold the state.
#include <gtest/gtest.h>

#include "tests/scheduler/membership_play.h"

namespace convoy::scheduler {
namespace {

using namespace cluster;
using namespace std::chrono_literals;
using Players = std::vector<int>;

// Worker 0 dies, and worker 1, which is well but busy, does not answer yet.
class AnswersTest : public testing::Test {
 protected:
  AnswersTest() {
    play_.enter_all();
    play_.steps(9);
    play_.players[1].answers = false;
    play_.killed(0);
  }
  void beat_for(int seconds) {
    for (int i = 0; i < 2 * seconds; ++i) {
      for (const int player : {1, 2}) play_.beat(player, 9, Phase::kUpdating);
      play_.pass(500ms);
    }
  }
  // What it was asked last.
  void answer(int player) {
    Play::Player& late = play_.players[player];
    late.answers = true;
    play_.from(late.uuid, SealAnswer{.standing = late.standing, .unreachable = {}}, play_.machine.ballot());
  }
  Play play_{3, {.suspect = 5, .hang = 30}};
};

TEST_F(AnswersTest, WhoIsHeardIsWaitedFor) {
  beat_for(20);
  EXPECT_TRUE(play_.events("worker_excluded").empty());
  answer(1);
  EXPECT_EQ(play_.members(), (Players{1, 2}));
  EXPECT_TRUE(play_.events("worker_excluded").empty());
}

TEST_F(AnswersTest, UntilItHangs) {
  beat_for(32);
  ASSERT_EQ(play_.events("worker_excluded").size(), 1U);
  EXPECT_EQ(play_.events("worker_excluded")[0].detail,
            "worker 1 (pid 4241) hangs: it has not answered for 30 s, and was last heard of 0 s ago");
  play_.killed(1);
  EXPECT_EQ(play_.members(), Players{2});
}

TEST_F(AnswersTest, WhoIsSilentIsNotWaitedForAnyLonger) {
  play_.pass(4s);
  EXPECT_TRUE(play_.events("worker_excluded").empty());
  play_.pass(3s);
  EXPECT_EQ(play_.events("worker_excluded").size(), 1U);
  play_.killed(1);
  EXPECT_EQ(play_.members(), Players{2});
}

// Rather than going back to a checkpoint.
TEST(LastHolderTest, IsWaitedForUntilItHangs) {
  Play play(2, {.suspect = 5, .hang = 30});
  play.enter_all();
  play.steps(9);
  play.players[1].answers = false;
  const int joiner = play.newcomer(-1, 100);
  play.enter(joiner);
  play.killed(0);
  for (int i = 0; i < 20; ++i) {
    play.beat(joiner, 0, Phase::kStarting);
    play.pass(1s);
  }
  EXPECT_TRUE(play.events("worker_excluded").empty());
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 1U);
  for (int i = 0; i < 12; ++i) {
    play.beat(joiner, 0, Phase::kStarting);
    play.pass(1s);
  }
  EXPECT_EQ(play.events("worker_excluded").size(), 1U);
}

TEST(LastHolderTest, GoesOnFromItsStepWhenItComesBack) {
  Play play(2, {.suspect = 5, .hang = 30});
  play.enter_all();
  play.steps(9);
  play.players[1].answers = false;
  play.killed(0);
  play.pass(20s);
  Play::Player& late = play.players[1];
  late.answers = true;
  play.from(late.uuid, SealAnswer{.standing = late.standing, .unreachable = {}}, play.machine.ballot());
  EXPECT_EQ(play.members(), Players{1});
  EXPECT_EQ(play.journalled<EpochRecord>().back().epoch.resume_step, 9);
}

}  // namespace
}  // namespace convoy::scheduler
