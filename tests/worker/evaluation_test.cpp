#include "worker/evaluation.h"

#include <gtest/gtest.h>

#include "distributed/solo.h"
#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

TEST(EvaluationTest, IsTheMeanOverAllHeldOutTargets) {
  const SmallRun run("mnist");
  const auto replica = run.replica();
  const Batches batches = run.batches();
  distributed::SoloCommunicator communicator;
  const auto first = evaluate(*replica, batches, communicator);
  ASSERT_TRUE(first);
  EXPECT_GT(first->loss, 0.5);
  EXPECT_LT(first->loss, 10.0);
  EXPECT_GE(first->accuracy, 0.0);
  EXPECT_LE(first->accuracy, 1.0);
  EXPECT_EQ(evaluate(*replica, batches, communicator)->loss, first->loss);
}

}  // namespace
}  // namespace convoy::worker
