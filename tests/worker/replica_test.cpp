#include "worker/replica.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/tensor/derived_forms.h"
#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

std::vector<std::vector<float>> gradients_of(Replica& replica, const StepKey& key, const Batch& batch) {
  std::vector<std::vector<float>> gradients(replica.layout().parameters().size());
  replica.gradient(key, batch, [&](std::size_t i, std::span<const float> gradient) {
    EXPECT_TRUE(gradients[i].empty()) << "handed over twice";
    gradients[i].assign(gradient.begin(), gradient.end());
  });
  return gradients;
}

TEST(ReplicaTest, HandsOverEveryParameterOnceWithItsSize) {
  for (const char* kind : {"text", "mnist"}) {
    const SmallRun run(kind);
    const auto replica = run.replica();
    const auto gradients = gradients_of(*replica, {}, run.batches().training(1, 0));
    for (std::size_t i = 0; i < gradients.size(); ++i)
      EXPECT_EQ(static_cast<std::int64_t>(gradients[i].size()), replica->layout().parameters()[i].elements);
  }
}

TEST(ReplicaTest, GradientWritesNothing) {
  const SmallRun run("text");
  const auto replica = run.replica();
  const std::string before = replica->state_hash(0);
  const auto first = gradients_of(*replica, {}, run.batches().training(1, 0));
  EXPECT_EQ(replica->state_hash(0), before);
  EXPECT_EQ(gradients_of(*replica, {}, run.batches().training(1, 0)), first) << "it can be redone";
}

TEST(ReplicaTest, UpdateChangesStateUnlessToldNotTo) {
  const SmallRun run("mnist");
  const auto replica = run.replica();
  const std::string before = replica->state_hash(0);
  std::vector<float> reduced(static_cast<std::size_t>(replica->layout().elements()) + 16, 1.0F);
  float* aligned = reduced.data() + (64 - reinterpret_cast<std::uintptr_t>(reduced.data()) % 64) % 64 / sizeof(float);
  replica->update(1, aligned, {.lr = 1e-3, .gradient_scale = 1.0, .apply = false});
  EXPECT_EQ(replica->state_hash(0), before);
  replica->update(1, aligned, {.lr = 1e-3, .gradient_scale = 1.0, .apply = true});
  EXPECT_NE(replica->state_hash(0), before);
  EXPECT_NE(replica->state_hash(1), replica->state_hash(2)) << "counters are state too";
}

TEST(ReplicaTest, StateIsParametersAndMomentsEachOnce) {
  const SmallRun run("mnist");
  const auto replica = run.replica();
  std::vector<std::string> names;
  for (const StateTensor& part : replica->state()) {
    names.push_back(part.file + " " + part.name);
    const std::string before = replica->state_hash(1);
    part.tensor.data<float>()[0] += 1.0F;
    EXPECT_NE(replica->state_hash(1), before) << part.name;
  }
  std::vector<std::string> expected;
  for (const char* place : {"parameters.safetensors ", "optimizer.safetensors m.", "optimizer.safetensors v."}) {
    for (const char* parameter : {"layers.0.bias", "layers.0.weight", "layers.1.bias", "layers.1.weight"})
      expected.push_back(place + std::string(parameter));
  }
  EXPECT_EQ(names, expected);
}

TEST(ReplicaTest, WithoutWeightDecayThereIsOneGroup) {
  SmallRun run("mnist");
  run.recipe.sync.bucket_mib = 100.0;
  EXPECT_EQ(run.replica()->layout().buckets().size(), 1U);
  run.recipe.optimizer.weight_decay = 0.1;
  EXPECT_EQ(run.replica()->layout().buckets().size(), 2U);
}

TEST(ReplicaTest, ThreadsDoNotChangeTheGradient) {
  for (const char* kind : {"text", "mnist"}) {
    for (const char* precision : {"fp32", "bf16"}) {
      SmallRun run(kind);
      run.recipe.train.precision = precision;
      const auto one = gradients_of(*run.replica(), {}, run.batches().training(1, 0));
      run.device = std::make_unique<CpuDevice>(2);
      EXPECT_EQ(gradients_of(*run.replica(), {}, run.batches().training(1, 0)), one) << kind << ", " << precision;
    }
  }
}

// Who computes one shard a step reads no weight twice between two updates, and keeps no packed copies of them.
TEST(ReplicaTest, FormsOfWeightsAreKeptWhereThereAreSeveralShards) {
  for (const char* graph : {"static", "dynamic"}) {
    SmallRun run("text");
    run.recipe.train.precision = "bf16";
    run.recipe.train.graph = graph;
    std::vector<std::vector<float>> gradients[2];
    for (const std::int32_t shards : {1, 2}) {
      Replica replica(run.recipe, make_model(run.recipe.model, task_of(*run.dataset, run.recipe)), *run.device,
                      {.shards = shards});
      gradients[shards - 1] = gradients_of(replica, {}, run.batches().training(1, 0));
      const DerivedForms* const forms = replica.parameter(0).derived_forms();
      ASSERT_EQ(forms != nullptr, shards == 2);
      if (forms != nullptr) {
        EXPECT_GT(forms->made(), 0U);
      }
    }
    EXPECT_EQ(gradients[0], gradients[1]) << graph;
  }
}

// The mean losses of some steps on all shards.
std::vector<double> losses_of(SmallRun& run, const std::string& precision) {
  constexpr std::int64_t kSteps = 20;
  run.recipe.train.precision = precision;
  const auto replica = run.replica();
  const Tensor sum = Tensor::zeros({DType::kF32, {replica->layout().elements()}, run.device.get()});
  float* const reduced = sum.data<float>();
  std::vector<double> losses;
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    std::fill_n(reduced, sum.elements(), 0.0F);
    distributed::LossSums total;
    for (std::int32_t shard = 0; shard < run.recipe.train.logical_shards; ++shard) {
      const StepKey key{.seed = run.recipe.train.seed, .step = step, .shard = shard};
      const auto sums = replica->gradient(key, run.batches().training(step, shard),
                                          [&](std::size_t i, std::span<const float> gradient) {
                                            float* const to = reduced + replica->layout().offset(i);
                                            for (std::size_t k = 0; k < gradient.size(); ++k) to[k] += gradient[k];
                                          });
      total.loss += sums.loss;
      total.count += sums.count;
    }
    losses.push_back(total.loss / total.count);
    replica->update(step, reduced, {.lr = 1e-2, .gradient_scale = 1.0 / total.count});
  }
  return losses;
}

TEST(ReplicaTest, HalfPrecisionLearnsAsSingleDoes) {
  for (const char* kind : {"text", "mnist"}) {
    SCOPED_TRACE(kind);
    SmallRun run(kind);
    const std::vector<double> single = losses_of(run, "fp32");
    const std::vector<double> half = losses_of(run, "bf16");
    EXPECT_LT(single.back(), 0.9 * single.front()) << "nothing was learnt";
    EXPECT_NE(half, single) << "bf16 was not used";
    for (std::size_t i = 0; i < single.size(); ++i)
      EXPECT_NEAR(half[i], single[i], 2e-2 * single[i]) << "step " << i + 1;
  }
}

}  // namespace
}  // namespace convoy::worker
