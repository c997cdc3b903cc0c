#include "worker/batches.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/data/sample_order.h"
#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

// The samples of step `step` (from 1), asked for one by one.
Batch step_by_order(const SmallRun& run, std::int64_t step) {
  const std::int64_t size = run.recipe.train.global_batch;
  const SampleOrder order(run.recipe.train.seed, run.dataset->size(Split::kTrain));
  std::vector<SampleId> samples;
  for (std::int64_t i = 0; i < size; ++i) samples.push_back(order.sample((step - 1) * size + i));
  Batch batch = make_batch(*run.dataset, size, *run.device);
  run.dataset->read(Split::kTrain, samples, batch);
  return batch;
}

template <class T>
void append(std::vector<T>& all, const Tensor& part) {
  const std::vector<T> values = part.to_vector<T>();
  all.insert(all.end(), values.begin(), values.end());
}

// Steps enough to pass the end of a data epoch.
template <class T>
void expect_order(const SmallRun& run) {
  const Batches batches = run.batches();
  const std::int64_t steps = run.dataset->size(Split::kTrain) / run.recipe.train.global_batch + 2;
  for (std::int64_t step = 1; step <= steps; ++step) {
    std::vector<T> inputs;
    std::vector<std::int32_t> targets;
    for (std::int32_t shard = 0; shard < run.recipe.train.logical_shards; ++shard) {
      const Batch batch = batches.training(step, shard);
      append(inputs, batch.inputs);
      append(targets, batch.targets);
    }
    const Batch expected = step_by_order(run, step);
    EXPECT_EQ(inputs, expected.inputs.to_vector<T>()) << "step " << step;
    EXPECT_EQ(targets, expected.targets.to_vector<std::int32_t>()) << "step " << step;
  }
}

TEST(BatchesTest, ShardsOfAStepAreTogetherItsSliceOfTheGlobalOrder) {
  expect_order<std::int32_t>(SmallRun("text"));
  expect_order<float>(SmallRun("mnist"));
}

template <class T>
void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.inputs.to_vector<T>(), b.inputs.to_vector<T>());
  EXPECT_EQ(a.targets.to_vector<std::int32_t>(), b.targets.to_vector<std::int32_t>());
}

// For every worker, from the first step or, as after a resume, from a later one; with an evaluation in between.
TEST(BatchesTest, ReadingAheadChangesNoBatch) {
  SmallRun run("mnist");
  run.recipe.train.steps = 20;
  run.recipe.data.augment = "affine";
  run.dataset = open_dataset(run.recipe.data, run.recipe.train.seed);
  run.recipe.data.threads = 2;
  run.recipe.data.prefetch = 3;
  const Batches plain = run.batches();
  for (const std::int32_t world : {1, 3}) {
    for (std::int32_t rank = 0; rank < world; ++rank) {
      Batches ahead = run.batches();
      ahead.read_ahead(run.recipe.data, rank, world);
      for (std::int64_t step = rank == 1 ? 7 : 1; step <= run.recipe.train.steps; ++step) {
        for (std::int32_t shard = 0; shard < run.recipe.train.logical_shards; ++shard)
          expect_equal<float>(ahead.training(step, shard), plain.training(step, shard));
        if (step != 9) continue;
        for (std::int32_t i = 0; i < plain.evaluation_batches(); ++i)
          expect_equal<float>(ahead.evaluation(i), plain.evaluation(i));
      }
    }
  }
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
