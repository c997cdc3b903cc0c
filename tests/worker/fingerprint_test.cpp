#include "worker/fingerprint.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "core/nn/layers.h"
#include "core/ops/elementwise.h"
#include "core/ops/view.h"
#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

// Depends on more than the recipe: on the machine that it runs on, say.
class MoodyModel final : public Model {
 public:
  MoodyModel(const TaskSpec& task, double mood)
      : head_(ParameterScope(parameters_, "head"), task.shape.elements(), task.classes, 0.05), mood_(mood) {}
  Tensor logits(const Tensor& inputs, Mode) const override {
    return scale(head_(reshape(inputs, {inputs.shape()[0], -1})), mood_);
  }

 private:
  Linear head_;
  double mood_;
};

class FingerprintTest : public testing::Test {
 protected:
  // `placed`: of a worker of one shard, whose gradients are made where they are kept.
  Fingerprint of(double mood, bool placed = false) {
    Replica replica(run_.recipe, std::make_unique<MoodyModel>(task_of(*run_.dataset, run_.recipe), mood), *run_.device);
    const Tensor reduced = Tensor::zeros({DType::kF32, {replica.layout().elements()}, run_.device.get()});
    replica.capture_step(run_.batches().specs(), reduced.data<float>());
    const Tensor kept = Tensor::zeros(reduced.spec());
    if (placed) replica.place_gradients(run_.batches().specs(), kept.data<float>());
    return fingerprint_of(run_.recipe, *run_.dataset, replica, [](std::string_view) { return std::nullopt; });
  }

  SmallRun run_{"mnist"};
};

TEST_F(FingerprintTest, WorkersWithOtherGraphsDiffer) {
  EXPECT_EQ(of(1.0).difference(of(1.0)), std::nullopt);
  const std::optional<std::string> difference = of(1.0).difference(of(2.0));
  ASSERT_TRUE(difference);
  EXPECT_EQ(difference->substr(0, 23), "graph of the gradient: ") << *difference;
  EXPECT_NE(difference->find(" operators, "), std::string::npos) << *difference;
}

TEST_F(FingerprintTest, DoesNotSayWhereGradientsAreMade) {
  const std::optional<std::string> difference = of(1.0, true).difference(of(1.0, false));
  EXPECT_FALSE(difference) << *difference;
}

TEST_F(FingerprintTest, DynamicStepsHaveNoGraphToCompare) {
  run_.recipe.train.graph = "dynamic";
  EXPECT_EQ(of(1.0).difference(of(2.0)), std::nullopt);
}

}  // namespace
}  // namespace convoy::worker
