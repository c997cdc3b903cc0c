#include "worker/batches.h"

#include <gtest/gtest.h>

#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

TEST(BatchesTest, ShardsOfAStepAreDisjointSlicesOfTheGlobalOrder) {
  const SmallRun run("text");
  const Batches batches = run.batches();
  EXPECT_EQ(batches.training(1, 0).inputs.shape(), (Shape{2, 16}));
  EXPECT_NE(batches.training(1, 0).inputs.to_vector<std::int32_t>(),
            batches.training(1, 1).inputs.to_vector<std::int32_t>());
  EXPECT_NE(batches.training(1, 0).inputs.to_vector<std::int32_t>(),
            batches.training(2, 0).inputs.to_vector<std::int32_t>());
  EXPECT_EQ(batches.training(2, 3).inputs.to_vector<std::int32_t>(),
            batches.training(2, 3).inputs.to_vector<std::int32_t>());
}

TEST(BatchesTest, EvaluationReadsEverySampleOnceAndPadsTheTail) {
  const SmallRun run("mnist");
  const Batches batches = run.batches();
  std::int64_t counted = 0;
  for (std::int32_t i = 0; i < batches.evaluation_batches(); ++i) {
    const Batch batch = batches.evaluation(i);
    EXPECT_EQ(batch.targets.shape(), (Shape{2}));
    for (const std::int32_t target : batch.targets.to_vector<std::int32_t>()) counted += target >= 0 ? 1 : 0;
  }
  EXPECT_EQ(counted, run.dataset->size(Split::kEval));
}

}  // namespace
}  // namespace convoy::worker
