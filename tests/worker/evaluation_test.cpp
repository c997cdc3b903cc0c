#include "worker/evaluation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/graph/recorder.h"
#include "distributed/solo.h"
#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

// Sample by sample, in one loop over the targets: no batches, no padding, no tree.
Evaluation evaluate_plainly(const SmallRun& run, const Replica& replica) {
  const auto classes = static_cast<std::size_t>(run.dataset->classes());
  double loss = 0.0, correct = 0.0, count = 0.0;
  for (std::int64_t sample = 0; sample < run.dataset->size(Split::kEval); ++sample) {
    const Batch batch = make_batch(*run.dataset, 1, *run.device);
    run.dataset->read(Split::kEval, std::vector<SampleId>{{sample}}, batch);
    const Recorder recorder(*run.device, {}, Recorder::Tape::kOff);
    const std::vector<float> logits = replica.model().logits(batch.inputs, Mode::kInfer).to_vector<float>();
    const std::vector<std::int32_t> targets = batch.targets.to_vector<std::int32_t>();
    for (std::size_t row = 0; row < targets.size(); ++row) {
      if (targets[row] < 0) continue;
      const float* scores = logits.data() + row * classes;
      double total = 0.0;
      for (std::size_t k = 0; k < classes; ++k) total += std::exp(static_cast<double>(scores[k]));
      loss += std::log(total) - static_cast<double>(scores[targets[row]]);
      correct += std::max_element(scores, scores + classes) - scores == targets[row] ? 1.0 : 0.0;
      count += 1.0;
    }
  }
  return {.loss = loss / count, .accuracy = correct / count};
}

TEST(EvaluationTest, IsTheMeanOverAllHeldOutTargets) {
  for (const char* kind : {"mnist", "text"}) {
    SmallRun run(kind);
    run.recipe.train.global_batch = 12;  // 3 samples a shard: the last batch is padded
    const auto replica = run.replica();
    const Batches batches = run.batches();
    ASSERT_NE(run.dataset->size(Split::kEval) % 3, 0) << kind;
    distributed::SoloCommunicator communicator;
    const auto evaluation = evaluate(*replica, batches, communicator);
    ASSERT_TRUE(evaluation) << kind;
    const Evaluation expected = evaluate_plainly(run, *replica);
    EXPECT_NEAR(evaluation->loss, expected.loss, 1e-6 * expected.loss) << kind;
    EXPECT_DOUBLE_EQ(evaluation->accuracy, expected.accuracy) << kind;
  }
}

TEST(EvaluationTest, EndsEarlyWhereAWorkerIsToStop) {
  SmallRun run("mnist");
  const auto replica = run.replica();
  const Batches batches = run.batches();
  ASSERT_GT(batches.evaluation_batches(), 2);
  distributed::SoloCommunicator communicator;
  int asked = 0;
  const auto evaluation = evaluate(*replica, batches, communicator, [&] { return ++asked == 2; });
  ASSERT_TRUE(evaluation);
  EXPECT_TRUE(evaluation->abandoned);
  EXPECT_EQ(asked, 2);
  EXPECT_FALSE(evaluate(*replica, batches, communicator, [] { return false; })->abandoned);
}

}  // namespace
}  // namespace convoy::worker
