// Running statistics: what shards emit, and what the update makes of it.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/graph/recorder.h"
#include "core/ops/conv.h"
#include "distributed/solo.h"
#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

using distributed::GradientReducer;

// Runs a step of a narrow ResNet over all its shards.
class StatisticsTest : public testing::Test {
 protected:
  StatisticsTest() : run_("mnist") {
    run_.recipe.model = {};
    run_.recipe.model.kind = "resnet";
    run_.recipe.model.layers = 18;
    run_.recipe.model.width = 4;
    run_.recipe.optimizer.weight_decay = 0.1;
    replica_ = run_.replica();
    reducer_ = std::make_unique<GradientReducer>(replica_->layout(), 4);
    memory_ = std::make_unique<Storage>(*run_.device, reducer_->arena_bytes());
    std::fill_n(static_cast<std::byte*>(memory_->data()), memory_->bytes(), std::byte{0});
    reducer_->use_arena({static_cast<std::byte*>(memory_->data()), memory_->bytes()});
  }

  void reduce(std::int64_t step) {
    reducer_->begin_step(step, distributed::regular_assignment(4, 1), 0);
    for (const std::int32_t shard : reducer_->missing()) {
      reducer_->begin_leaf(shard);
      reducer_->end_leaf(
          replica_->gradient({.seed = 1, .step = step, .shard = shard}, run_.batches().training(step, shard),
                             [&](std::size_t i, std::span<const float> gradient) { reducer_->add(i, gradient); }));
    }
    distributed::SoloCommunicator communicator;
    reducer_->reduce(communicator);
  }

  std::size_t index(const std::string& name) const {
    for (std::size_t i = 0; i < replica_->model().parameters().size(); ++i) {
      if (replica_->model().parameters()[i].name() == name) return i;
    }
    ADD_FAILURE() << "no parameter " << name;
    return 0;
  }
  std::vector<float> values(const std::string& name) const {
    return replica_->parameter(index(name)).to_vector<float>();
  }

  SmallRun run_;
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<GradientReducer> reducer_;
  std::unique_ptr<Storage> memory_;
};

// The stem's first normalisation sees the convolution of all 8 digits: PyTorch's rule over their union, however they
// are shared out.
TEST_F(StatisticsTest, AreThoseOfTheWholeBatch) {
  const std::vector<float> weight_values = values("conv1.weight");
  reduce(1);
  replica_->update(1, reducer_->reduced_data(), {.lr = 1e-3, .gradient_scale = 1.0 / 8});

  std::vector<double> sum(4), squares(4);
  double rows = 0;
  const Tensor weight = Tensor::of<float>(*run_.device, {4, 1, 3, 3}, weight_values);
  for (std::int32_t shard = 0; shard < 4; ++shard) {
    const Recorder recorder(*run_.device, {}, Recorder::Tape::kOff);
    const Tensor x = conv2d(run_.batches().training(1, shard).inputs, weight, {}, {.padding = {1, 1}});
    const std::vector<float> elements = x.to_vector<float>();
    for (std::size_t i = 0; i < elements.size(); ++i) {
      sum[i % 4] += elements[i];
      squares[i % 4] += static_cast<double>(elements[i]) * elements[i];
    }
    rows += static_cast<double>(elements.size()) / 4;
  }
  for (std::size_t c = 0; c < 4; ++c) {
    const double mean = sum[c] / rows;
    const double variance = (squares[c] / rows - mean * mean) * rows / (rows - 1);
    EXPECT_NEAR(values("bn1.running_mean")[c], 0.1 * mean, 1e-5 * (1 + std::abs(mean)));
    EXPECT_NEAR(values("bn1.running_var")[c], 0.9 + 0.1 * variance, 1e-5 * (1 + variance));
  }
  EXPECT_EQ(values("bn1.num_batches_tracked"), std::vector<float>{1});
  EXPECT_EQ(values("layer4.1.bn2.num_batches_tracked"), std::vector<float>{1});
}

TEST_F(StatisticsTest, ASkippedStepLeavesThemAlone) {
  reduce(1);
  const std::string before = replica_->state_hash(0);
  replica_->update(1, reducer_->reduced_data(), {.lr = 1e-3, .gradient_scale = 1.0, .apply = false});
  EXPECT_EQ(replica_->state_hash(0), before);
}

TEST_F(StatisticsTest, AreStateButNoTrainedParameters) {
  const std::string parameters = replica_->parameters_hash();
  const std::string state = replica_->state_hash(1);
  replica_->parameter(index("bn1.running_var")).data<float>()[0] += 1.0F;
  EXPECT_EQ(replica_->parameters_hash(), parameters);
  EXPECT_NE(replica_->state_hash(1), state);
  std::map<std::string, std::string> files;
  for (const StateTensor& part : replica_->state()) files[part.name] = part.file;
  EXPECT_EQ(files.at("bn1.running_mean"), kParametersFile);
  EXPECT_EQ(files.at("m.bn1.weight"), kOptimizerFile);
  EXPECT_FALSE(files.contains("m.bn1.running_mean"));
}

TEST_F(StatisticsTest, AreNoPartOfTheGradientNorm) {
  reduce(1);
  const auto norm = [&] {
    return distributed::squared_norm(replica_->layout(), replica_->chunk_squares(reducer_->reduced_data()));
  };
  const double before = norm();
  EXPECT_GT(before, 0.0);
  reducer_->reduced_data()[replica_->layout().offset(index("bn1.running_mean"))] += 100.0F;
  EXPECT_EQ(norm(), before);
  reducer_->reduced_data()[replica_->layout().offset(index("bn1.weight"))] += 100.0F;
  EXPECT_GT(norm(), before);
}

// A model that is not trained normalises with the running statistics: another batch around it changes nothing.
TEST_F(StatisticsTest, InferenceReadsThem) {
  const Batch batch = run_.batches().training(1, 0);
  const auto first_logits = [&](const Tensor& inputs) {
    const Recorder recorder(*run_.device, {}, Recorder::Tape::kOff);
    std::vector<float> logits = replica_->model().logits(inputs, Mode::kInfer).to_vector<float>();
    logits.resize(10);
    return logits;
  };
  const std::vector<float> pixels = batch.inputs.to_vector<float>();
  const Tensor alone = Tensor::of<float>(*run_.device, {1, 28, 28, 1}, std::span(pixels).first(28 * 28));
  const std::vector<float> whole = first_logits(batch.inputs);
  const std::vector<float> single = first_logits(alone);
  for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(whole[i], single[i], 1e-5);
  replica_->parameter(index("bn1.running_mean")).data<float>()[0] += 1.0F;
  EXPECT_NE(first_logits(batch.inputs), whole);
}

}  // namespace
}  // namespace convoy::worker
