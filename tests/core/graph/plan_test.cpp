#include "core/graph/plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/capture.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/norm.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"

namespace convoy {
namespace {

// y = sum of gelu(x)·w, and a plan of it.
struct Product {
  explicit Product(CpuDevice& device) : weight(Tensor::zeros({DType::kF32, {16, 4}, &device})) {
    for (std::int64_t i = 0; i < weight.elements(); ++i) weight.data<float>()[i] = static_cast<float>(i % 7) - 3;
    Capture capture(device);
    capture.state("weight", weight);
    const Tensor x = capture.input("x", {DType::kF32, {8, 16}, &device});
    capture.result("y", sum(matmul(gelu(x), weight)));
    graph.emplace(capture.finish());
  }

  Tensor weight;
  std::optional<Graph> graph;
};

Tensor ramp(CpuDevice& device) {
  std::vector<float> values(8 * 16);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.1F * static_cast<float>(i % 9);
  return Tensor::of<float>(device, {8, 16}, values);
}

TEST(PlanTest, ReplaysReadTheStateAsItIsThen) {
  CpuDevice device;
  const Product product(device);
  Plan plan(*product.graph, std::vector{product.weight});
  const auto run = [&] {
    double y = NAN;
    plan.run({}, std::vector{ramp(device)}, [&](std::size_t, const Tensor& value) { y = value.item(); });
    return y;
  };
  const double before = run();
  EXPECT_EQ(run(), before);
  for (std::int64_t i = 0; i < product.weight.elements(); ++i) product.weight.data<float>()[i] *= 2;
  product.weight.written();
  EXPECT_DOUBLE_EQ(run(), 2 * before);
}

TEST(PlanTest, ResultsAreMadeInThePlacesThatAreGiven) {
  CpuDevice device;
  const Tensor weight = Tensor::zeros({DType::kF32, {16, 4}, &device});
  for (std::int64_t i = 0; i < weight.elements(); ++i) weight.data<float>()[i] = static_cast<float>(i % 7) - 3;
  Capture capture(device);
  capture.state("weight", weight);
  const Tensor x = capture.input("x", {DType::kF32, {8, 16}, &device});
  const Tensor y = matmul(x, weight);
  capture.result("y", y);
  capture.result("double", add(y, y));  // may not be written over y
  capture.result("sum", sum(y));
  const Graph graph = capture.finish();
  const Spec spec{DType::kF32, {8, 4}, &device};
  const Tensor first = Tensor::zeros(spec), second = Tensor::zeros(spec);
  const Tensor wrong = Tensor::zeros({DType::kF32, {2}, &device});
  std::vector<std::vector<float>> expected(3), actual(3);
  const auto into = [](std::vector<std::vector<float>>& results) {
    return [&results](std::size_t i, const Tensor& value) { results[i] = value.to_vector<float>(); };
  };
  Plan(graph, std::vector{weight}).run({}, std::vector{ramp(device)}, into(expected));
  Plan plan(graph, std::vector{weight}, {.poison = true, .results = {first, second, wrong}});
  EXPECT_LT(plan.memory().bytes, Plan(graph, std::vector{weight}).memory().bytes);
  for (int run = 0; run < 2; ++run) {
    plan.run({}, std::vector{ramp(device)}, into(actual));
    EXPECT_EQ(actual, expected);
    EXPECT_EQ(first.to_vector<float>(), expected[0]);
    EXPECT_EQ(second.to_vector<float>(), expected[1]);
    EXPECT_EQ(wrong.to_vector<float>(), std::vector<float>({0.0F, 0.0F}));
  }
}

// The largest value of a language model: its gradient needs no second one.
TEST(PlanTest, TheGradientOfLogitsIsWrittenOverThem) {
  constexpr std::int64_t kRows = 400, kClasses = 501;
  CpuDevice device;
  const Tensor weight = Tensor::zeros({DType::kF32, {16, kClasses}, &device});
  for (std::int64_t i = 0; i < weight.elements(); ++i) weight.data<float>()[i] = static_cast<float>(i % 13) - 6;
  Capture capture(device);
  capture.state("weight", weight);
  const Tensor x = capture.input("x", {DType::kF32, {kRows, 16}, &device});
  const Tensor targets = capture.input("targets", {DType::kI32, {kRows}, &device});
  backward(cross_entropy(matmul(x, weight), targets).sum, std::span(&x, 1),
           [&](std::size_t, const Tensor& gradient) { capture.result("dx", gradient); });
  const Graph graph = capture.finish();
  std::vector<float> rows;
  std::vector<std::int32_t> classes;
  for (std::int64_t i = 0; i < kRows * 16; ++i) rows.push_back(0.1F * static_cast<float>(i % 9));
  for (std::int64_t i = 0; i < kRows; ++i) classes.push_back(static_cast<std::int32_t>(i * 37 % kClasses));
  const Tensors inputs = {Tensor::of<float>(device, {kRows, 16}, rows),
                          Tensor::of<std::int32_t>(device, {kRows}, classes)};
  std::vector<std::vector<float>> gradients;
  std::vector<std::size_t> bytes;
  for (const bool in_place : {true, false}) {
    Plan plan(graph, std::vector{weight}, {.in_place = in_place});
    bytes.push_back(plan.memory().bytes);
    plan.run({}, inputs, [&](std::size_t, const Tensor& value) { gradients.push_back(value.to_vector<float>()); });
  }
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_LT(bytes[0], 2 * kRows * kClasses * sizeof(float));
  EXPECT_GE(bytes[1], 2 * kRows * kClasses * sizeof(float));
}

TEST(PlanTest, WhatKernelsWorkInIsPartOfTheMemoryPlan) {
  CpuDevice device;
  Capture capture(device);
  const Tensor x = capture.input("x", {DType::kF64, {300, 40, 5}, &device});
  capture.result("y", sum(x, {0, 2}, false));  // two runs of axes: what is between them is the kernel's own
  const Graph graph = capture.finish();
  const Schedule schedule = make_schedule(graph, {}, {});
  ASSERT_EQ(schedule.steps.size(), 1U);
  ASSERT_GE(schedule.steps[0].scratch, 0);
  EXPECT_GE(schedule.buffers[static_cast<std::size_t>(schedule.steps[0].scratch)].bytes, 300U * 40U * 8U);
  const Plan plan(graph, {});
  EXPECT_GE(plan.memory().lower_bound, (300U * 40U * 5U + 300U * 40U) * 8U);
}

TEST(PlanTest, IsRefusedWithItsLargestValuesBeforeItTakesMemory) {
  CpuDevice device;
  const Product product(device);
  const std::size_t in_use = device.pool_statistics().bytes_in_use;
  try {
    Plan(*product.graph, std::vector{product.weight}, {.most_bytes = 600});
    FAIL() << "was not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    const std::string message = error.what();
    EXPECT_NE(message.find("expected at most 600 B"), std::string::npos) << message;
    // Largest first.
    const std::size_t input = message.find("input x: f32[8, 16]"), output = message.find("matmul: f32[8, 4]");
    EXPECT_NE(input, std::string::npos) << message;
    EXPECT_TRUE(output == std::string::npos || input < output) << message;
  }
  EXPECT_EQ(device.pool_statistics().bytes_in_use, in_use);
}

// Which lie with the weights, outside the plan's memory.
TEST(PlanTest, FormsOfWeightsCountUntilTheyAreMade) {
  CpuDevice device;
  const Tensor weight = Tensor::zeros({DType::kF32, {64, 32}, &device});
  weight.make_state();
  Capture capture(device);
  capture.state("weight", weight);
  const Tensor x = capture.input("x", {DType::kBF16, {8, 64}, &device});
  capture.result("y", matmul(x, weight));
  const Graph graph = capture.finish();
  Plan plan(graph, std::vector{weight});
  const PlanOptions values_alone{.most_bytes = plan.memory().bytes};
  try {
    Plan(graph, std::vector{weight}, values_alone);
    FAIL() << "was not refused";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(" and forms of weights "), std::string::npos) << error.what();
  }
  plan.run({}, std::vector{Tensor::zeros(x.spec())}, [](std::size_t, const Tensor&) {});
  EXPECT_NO_THROW(Plan(graph, std::vector{weight}, values_alone));
}

}  // namespace
}  // namespace convoy
