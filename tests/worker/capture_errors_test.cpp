// Models of a user's own that cannot be captured: each mistake is named with its file and line, and runs dynamically.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/base/error.h"
#include "core/graph/recorder.h"
#include "core/nn/layers.h"
#include "core/ops/batch_norm.h"
#include "core/ops/constant.h"
#include "core/ops/elementwise.h"
#include "core/ops/view.h"
#include "tests/worker/small_run.h"
#include "worker/evaluation.h"

namespace convoy::worker {
namespace {

// What a model does with its logits before it returns them.
using Habit = std::function<Tensor(const Tensor& logits)>;

class OwnModel final : public Model {
 public:
  OwnModel(const TaskSpec& task, Habit habit)
      : head_(ParameterScope(parameters_, "head"), task.shape.elements(), task.classes, 0.05),
        habit_(std::move(habit)) {}
  Tensor logits(const Tensor& inputs, Mode) const override {
    return habit_(head_(reshape(inputs, {inputs.shape()[0], -1})));
  }

 private:
  Linear head_;
  Habit habit_;
};

class CaptureErrorsTest : public testing::Test {
 protected:
  std::string error_of(const std::string& graph, const Habit& habit) {
    run_.recipe.train.graph = graph;
    Replica replica(run_.recipe, std::make_unique<OwnModel>(task_of(*run_.dataset, run_.recipe), habit), *run_.device);
    try {
      replica.gradient({}, run_.batches().training(1, 0), [](std::size_t, std::span<const float>) {});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.what();
    }
    return "";
  }
  // Static: begins with this file, the line, and `what`. Dynamic: there is none.
  void expect_refused(int line, const std::string& what, const Habit& habit) {
    const std::string expected = __FILE__ + (":" + std::to_string(line) + ": ") + what;
    const std::string error = error_of("static", habit);
    EXPECT_EQ(error.substr(0, expected.size()), expected);
    EXPECT_NE(error.find("train.graph = \"dynamic\""), std::string::npos) << error;
    EXPECT_EQ(error_of("dynamic", habit), "");
  }

  SmallRun run_{"mnist"};
};

TEST_F(CaptureErrorsTest, AConstantMadeInTheStep) {
  const int line = __LINE__ + 2;
  expect_refused(line, "mul uses a tensor f32[10] made here", [](const Tensor& logits) {
    const Tensor mask = Tensor::zeros({logits.dtype(), {logits.shape()[-1]}, &logits.device()});
    return mul(logits, mask);
  });
}

TEST_F(CaptureErrorsTest, AConstantMadeWithTheModel) {
  const std::vector<float> values(10, 2.0F);
  const Tensor gains = Tensor::of<float>(*run_.device, {10}, values);
  expect_refused(__LINE__ - 1, "mul uses a tensor f32[10] made here",
                 [&](const Tensor& logits) { return mul(logits, gains); });
}

TEST_F(CaptureErrorsTest, AStepThatDependsOnAValue) {
  const int line = __LINE__ + 2;
  expect_refused(line, "the elements of a f32[2, 10] value are read",
                 [](const Tensor& logits) { return logits.data<float>()[0] > 1e6F ? neg(logits) : logits; });
}

TEST_F(CaptureErrorsTest, AStepThatDependsOnItsNumber) {
  const int line = __LINE__ + 2;
  expect_refused(line, "the random key of one step is read",
                 [](const Tensor& logits) { return scale(logits, Recorder::current().key().step > 100 ? 1.0 : 0.5); });
}

// In another step, or in an evaluation, it would stand for something else.
TEST_F(CaptureErrorsTest, AValueKeptFromAnotherCapture) {
  run_.recipe.train.graph = "static";
  Tensor kept;
  const auto habit = [&](const Tensor& logits) {
    if (!kept.defined()) kept = scale(ones_like(logits), 3.0);
    return mul(logits, kept);
  };
  Replica replica(run_.recipe, std::make_unique<OwnModel>(task_of(*run_.dataset, run_.recipe), habit), *run_.device);
  replica.gradient({}, run_.batches().training(1, 0), [](std::size_t, std::span<const float>) {});
  try {
    replica.capture(evaluation_of(replica), run_.batches().specs());
    FAIL() << "captured";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("mul uses a value f32[2, 10] of another capture"), std::string::npos)
        << error.what();
  }
}

// A gradient is computed by every worker for its shards, and again after a fault.
TEST_F(CaptureErrorsTest, AStepThatWritesState) {
  const Tensor mean = Tensor::zeros({DType::kF32, {10}, run_.device.get()});
  const Tensor variance = Tensor::zeros(mean.spec()), updates = Tensor::zeros({DType::kF32, {}, run_.device.get()});
  const Tensor apply = Tensor::of<double>(*run_.device, {1}, std::vector<double>{1.0});
  for (const char* graph : {"static", "dynamic"}) {
    const std::string error = error_of(graph, [&](const Tensor& logits) {
      update_running_statistics({.momentum = 0.1}, mean, variance, updates, mean, variance, updates, apply);
      return logits;
    });
    EXPECT_NE(error.find("gradient: "), std::string::npos) << error;
    EXPECT_NE(error.find("writes state, which only a step's update may do"), std::string::npos) << error;
  }
}

TEST_F(CaptureErrorsTest, StateMadeInTheStep) {
  const Parameter gain("gain", {10}, Initializer::constant(1.0), ParameterGroup::kNoDecay);
  const int line = __LINE__ + 2;
  expect_refused(line, "parameter gain is bound to memory", [&](const Tensor& logits) {
    gain.bind(Tensor::empty({DType::kF32, {10}, &logits.device()}));
    gain.initialize(1);
    return mul(logits, gain.value());
  });
  expect_refused(__LINE__ + 1, "parameter gain is initialised", [&](const Tensor& logits) {
    gain.initialize(1);
    return mul(logits, gain.value());
  });
}

// What the message advises.
TEST_F(CaptureErrorsTest, ConstantsArePartOfTheStep) {
  const std::vector<double> gains(10, 2.0);
  const auto habit = [&](const Tensor& logits) { return mul(logits, constant(logits.dtype(), {10}, gains)); };
  EXPECT_EQ(error_of("static", habit), "");
  EXPECT_EQ(error_of("dynamic", habit), "");
}

// Whatever the graph.
TEST_F(CaptureErrorsTest, AContributionToWhatIsNoStatistic) {
  for (const char* graph : {"static", "dynamic"}) {
    const int line = __LINE__ + 3;
    const std::string error = error_of(graph, [](const Tensor& logits) {
      const Tensor mine = Tensor::zeros({logits.dtype(), logits.shape(), &logits.device()});
      Recorder::current().emit(mine, ones_like(logits));
      return logits;
    });
    EXPECT_EQ(error.find(__FILE__ + (":" + std::to_string(line) + ": a contribution of f32[2, 10]")), 0U) << error;
  }
}

}  // namespace
}  // namespace convoy::worker
