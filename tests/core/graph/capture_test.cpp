#include "core/graph/capture.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/interpreter.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/random.h"
#include "core/ops/reduce.h"
#include "core/ops/update.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

class CaptureTest : public testing::Test {
 protected:
  Tensor tensor(const Shape& shape, float start) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < shape.elements(); ++i) values.push_back(start + 0.25F * static_cast<float>(i));
    return Tensor::of<float>(device_, shape, values);
  }

  template <typename F>
  static std::string message(const F& f) {
    try {
      f();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.what();
    }
    return "nothing was thrown";
  }

  CpuDevice device_;
  const Tensor x_ = tensor({3, 4}, -1);
  const Tensor weight_ = tensor({4, 2}, 0.5);
};

Tensor step(const Tensor& x, const Tensor& weight) {
  const Tensor y = dropout(gelu(matmul(x, weight)), 0.25);
  return sum(mul(y, transpose(transpose(y, 0, 1), 0, 1)));
}

TEST_F(CaptureTest, MeansWhatTheDynamicStepDoes) {
  const StepKey key{.seed = 5, .step = 9, .shard = 1};
  Tensors expected;
  {
    const Recorder recorder(device_, key);
    const Tensor loss = step(x_, weight_);
    expected.push_back(loss);
    backward(loss, Tensors{weight_}, [&](std::size_t, const Tensor& gradient) { expected.push_back(gradient); });
  }
  Capture capture(device_);
  const Tensor x = capture.input("x", x_.spec());
  capture.state("weight", weight_);
  const Tensor loss = step(x, weight_);
  capture.result("loss", loss);
  backward(loss, Tensors{weight_}, [&](std::size_t, const Tensor& gradient) { capture.result("gradient", gradient); });
  const Graph graph = capture.finish();

  const Tensors actual = interpret(graph, key, Tensors{x_}, Tensors{weight_});
  ASSERT_EQ(actual.size(), 2U);
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_EQ(actual[i].to_vector<float>(), expected[i].to_vector<float>()) << i;
  const Tensors other = interpret(graph, {.seed = 5, .step = 10, .shard = 1}, Tensors{x_}, Tensors{weight_});
  EXPECT_NE(other[0].to_vector<float>(), expected[0].to_vector<float>()) << "random numbers are not the step's";
}

TEST_F(CaptureTest, NodesKnowTheirPhase) {
  Capture capture(device_);
  capture.state("weight", weight_);
  const Tensor loss = sum(square(weight_));
  backward(loss, Tensors{weight_}, [&](std::size_t, const Tensor& gradient) { capture.result("gradient", gradient); });
  const Graph graph = capture.finish();
  EXPECT_EQ(graph.nodes().front().phase, Phase::kForward);
  EXPECT_EQ(graph.nodes().back().phase, Phase::kBackward);
}

TEST_F(CaptureTest, RunsNothing) {
  const std::uint64_t before = device_.kernels_run();
  Capture capture(device_);
  step(capture.input("x", x_.spec()), capture.input("weight", weight_.spec()));
  EXPECT_EQ(device_.kernels_run(), before);
}

TEST_F(CaptureTest, AnUpdateAssignsState) {
  const Tensor parameter = tensor({6}, 1), moment = tensor({6}, 0), gradient = tensor({6}, -2);
  const std::vector<double> factors = {0.1, 1.0, 1.0};
  const SgdAttributes attributes{.momentum = 0.9};
  const auto update = [&](const Tensor& g, const Tensor& f) {
    sgd_update(attributes, Tensors{parameter, moment}, g, f);
  };
  Capture capture(device_);
  capture.state("parameter", parameter);
  capture.state("moment", moment);
  const Tensor g = capture.input("gradient", gradient.spec());
  const Tensor f = capture.input("factors", {DType::kF64, {3}, &device_});
  update(g, f);
  capture.result("doubled", scale(parameter, 2.0));  // sees the parameter as updated
  const Graph graph = capture.finish();
  EXPECT_EQ(graph.assignments().size(), 2U);

  const Tensor factor_tensor = Tensor::of<double>(device_, {3}, factors);
  const auto interpreted = [&] {
    const Tensor p = tensor({6}, 1), m = tensor({6}, 0);
    const Tensors results = interpret(graph, {}, Tensors{gradient, factor_tensor}, Tensors{p, m});
    EXPECT_NE(p.to_vector<float>(), tensor({6}, 1).to_vector<float>());
    return std::vector{p.to_vector<float>(), m.to_vector<float>(), results[0].to_vector<float>()};
  }();
  const Recorder recorder(device_, {}, Recorder::Tape::kOff);
  update(gradient, factor_tensor);
  EXPECT_EQ(interpreted[0], parameter.to_vector<float>());
  EXPECT_EQ(interpreted[1], moment.to_vector<float>());
  EXPECT_EQ(interpreted[2], scale(parameter, 2.0).to_vector<float>());
}

constexpr char kWayOut[] =
    " while the step is captured as a graph; train.graph = \"dynamic\" runs such a step line by line";

// "…/capture_test.cpp:12: ".
std::string at(int line) { return __FILE__ + (":" + std::to_string(line) + ": "); }

TEST_F(CaptureTest, ReadingAValueSaysWhere) {
  Capture capture(device_);
  const Tensor x = capture.input("x", {DType::kF32, {1}, &device_});
  EXPECT_EQ(message([&] { x.item(); }), at(__LINE__) + "the elements of a f32[1] value are read" + kWayOut);
  EXPECT_EQ(message([&] { x.to_vector<float>(); }).find(at(__LINE__)), 0U);
  EXPECT_EQ(message([&] { x.data<float>(); }).find(at(__LINE__)), 0U);
  EXPECT_EQ(message([&] { x.view(Layout::contiguous({1, 1})); }).find(at(__LINE__)), 0U);
  EXPECT_EQ(message([&] { capture.recorder().key(); }).find(at(__LINE__)), 0U);
}

TEST_F(CaptureTest, UndeclaredTensorsAreNoConstants) {
  Capture capture(device_);
  const Tensor x = capture.input("x", x_.spec());
  const Tensor zeros = Tensor::zeros(weight_.spec());
  const std::string made = at(__LINE__ - 1);
  EXPECT_EQ(message([&] { matmul(x, zeros); }),
            made +
                "matmul uses a tensor f32[4, 2] made here, which is no input, no parameter and nothing made of them "
                "(constant() makes numbers part of a step); no operator comes before it" +
                kWayOut);
  EXPECT_EQ(message([&] { capture.result("loss", zeros); }).find(made + "loss uses a tensor"), 0U);
  EXPECT_EQ(message([&] { neg(zeros.view(Layout::contiguous({8}))); }).find(made), 0U);
  Tensor made_by_operator;
  {
    const Recorder recorder(device_, {});
    made_by_operator = exp(zeros);
  }
  EXPECT_EQ(message([&] { matmul(x, made_by_operator); }).find("matmul uses a tensor f32[4, 2] that an operator made"),
            0U);
  scale(neg(x), 2.0);
  EXPECT_NE(message([&] {
              matmul(x, zeros);
            }).find("; it comes right behind the step's operator 2, scale(factor=2): f32[3, 4] while"),
            std::string::npos);
  capture.state("weight", weight_);
  EXPECT_NO_THROW(matmul(x, weight_));
  EXPECT_NE(message([&] { capture.state("again", weight_); }).find("again: "), std::string::npos);
}

TEST_F(CaptureTest, StateMadeInsideIsRefused) {
  Capture capture(device_);
  const Tensor parameter = Tensor::zeros({DType::kF32, {6}, &device_});
  const std::string made = at(__LINE__ - 1);
  const Tensor moment = tensor({6}, 0);
  const Tensor g = capture.input("gradient", parameter.spec());
  const Tensor f = capture.input("factors", {DType::kF64, {3}, &device_});
  const auto update = [&] { sgd_update({.momentum = 0.9}, Tensors{parameter, moment}, g, f); };
  EXPECT_EQ(message(update).find(made + "sgd uses a tensor f32[6] made here"), 0U) << message(update);
}

TEST_F(CaptureTest, RefusesOtherSpecsWhenRun) {
  Capture capture(device_);
  capture.result("y", neg(capture.input("x", x_.spec())));
  const Graph graph = capture.finish();
  EXPECT_EQ(message([&] { interpret(graph, {}, Tensors{weight_}, {}); }), "x is f32[4, 2], expected f32[3, 4]");
  EXPECT_THROW(interpret(graph, {}, {}, {}), Error);
}

}  // namespace
}  // namespace convoy
