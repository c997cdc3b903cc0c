#include "worker/commit_point.h"

#include <gtest/gtest.h>

#include <thread>

namespace convoy::worker {
namespace {

using State = CommitPoint::State;

TEST(CommitPointTest, AStepIsCompletedOrAborted) {
  CommitPoint point;
  EXPECT_TRUE(point.begin());
  EXPECT_TRUE(point.complete());
  EXPECT_FALSE(point.abort());  // too late
  EXPECT_EQ(point.state(), State::kReduced);
  point.applied();
  EXPECT_TRUE(point.begin());
  EXPECT_TRUE(point.abort());
  EXPECT_TRUE(point.abort());
  EXPECT_FALSE(point.complete());
  EXPECT_FALSE(point.begin());
  point.reopen();
  EXPECT_TRUE(point.begin());
}

TEST(CommitPointTest, NothingBeginsOnceAborted) {
  CommitPoint point;
  EXPECT_TRUE(point.abort());
  EXPECT_FALSE(point.begin());
}

TEST(CommitPointTest, ReopeningInterruptsNoStep) {
  CommitPoint point;
  point.begin();
  point.reopen();
  EXPECT_EQ(point.state(), State::kReducing);
}

// Whatever the threads do, exactly one of them has its way.
TEST(CommitPointTest, OfTwoThreadsOneWins) {
  for (int round = 0; round < 2000; ++round) {
    CommitPoint point;
    point.begin();
    bool aborted = false;
    std::thread other([&] { aborted = point.abort(); });
    const bool completed = point.complete();
    other.join();
    EXPECT_NE(completed, aborted);
  }
}

}  // namespace
}  // namespace convoy::worker
