#include <gtest/gtest.h>

#include <algorithm>

#include "core/graph/backward.h"
#include "core/graph/interpreter.h"
#include "core/graph/passes/passes.h"
#include "core/graph/plan.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/norm.h"
#include "core/ops/reduce.h"
#include "core/ops/swiglu.h"
#include "tests/core/graph/passes/small_graph.h"

namespace convoy {
namespace {

constexpr std::int64_t kRows = 64, kWidth = 32;
constexpr std::size_t kValueBytes = kRows * kWidth * sizeof(float);

// x + W·f(norm(x)·W), one after another: of each keeps the norm's and f's results for the weights' gradients.
template <typename F>
Graph stack_of_layers(SmallGraph& small, int layers, const F& f) {
  return small.capture([&](Capture& capture) {
    const Tensor input = capture.input("x", small.f32({kRows, kWidth}));
    const Tensor weight = capture.input("weight", small.f32({kWidth, kWidth}));
    const Tensor gain = capture.input("gain", small.f32({kWidth}));
    Tensor x = input;
    for (int i = 0; i < layers; ++i) x = add(x, linear(f(layer_norm(x, gain, gain), weight), weight, {}));
    const Tensor loss = sum(square(x));
    capture.result("loss", loss);
    backward(loss, Tensors{weight, gain},
             [&](std::size_t, const Tensor& gradient) { capture.result("gradient", gradient); });
  });
}

Tensor with_gelu(const Tensor& x, const Tensor& weight) { return linear(x, weight, {}, Activation::kGelu); }
Tensor with_swiglu(const Tensor& x, const Tensor& weight) { return swiglu(linear(x, weight, {}), matmul(x, weight)); }
Tensor with_relu(const Tensor& x, const Tensor& weight) { return linear(x, weight, {}, Activation::kRelu); }

std::size_t recomputed(const Graph& graph, std::string_view op) {
  return static_cast<std::size_t>(std::ranges::count_if(
      graph.nodes(), [op](const Node& node) { return node.phase == Phase::kRecompute && node.op->name() == op; }));
}

Tensors run(SmallGraph& small, const Graph& graph) {
  Tensors inputs;
  for (const ValueId id : graph.inputs()) {
    const Spec& spec = graph.value(id).spec;
    std::vector<float> values(static_cast<std::size_t>(spec.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 23) / 16.0F - 0.7F;
    inputs.push_back(Tensor::of<float>(small.device(), spec.shape, values));
  }
  return interpret(graph, {.seed = 1, .step = 1, .shard = 0}, inputs, {});
}

TEST(RematerializeTest, KeepsNeitherActivationsNorNormalisedValues) {
  SmallGraph small;
  const Graph graph = stack_of_layers(small, 8, with_gelu);
  const Graph after = rematerialize(graph);
  verify(after);
  EXPECT_EQ(recomputed(after, "gelu"), 8U);
  EXPECT_EQ(recomputed(after, "layer_norm"), 8U);
  const Plan before_plan(graph, {}), after_plan(after, {});
  EXPECT_LT(after_plan.memory().lower_bound, before_plan.memory().lower_bound - 13 * kValueBytes)
      << "eight layers keep two values less each, but those at work";
}

TEST(RematerializeTest, HasTheSameBits) {
  SmallGraph small;
  for (const auto& f : {with_gelu, with_swiglu}) {
    const Graph graph = stack_of_layers(small, 3, f);
    const Graph after = rematerialize(graph);
    EXPECT_GE(recomputed(after, "gelu") + recomputed(after, "swiglu"), 3U);
    const Tensors expected = run(small, graph), actual = run(small, after);
    ASSERT_EQ(expected.size(), actual.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_EQ(expected[i].to_vector<float>(), actual[i].to_vector<float>());
  }
}

TEST(RematerializeTest, KeepsWhatItsGradientReadsItself) {
  SmallGraph small;
  const Graph after = rematerialize(stack_of_layers(small, 3, with_relu));
  EXPECT_EQ(recomputed(after, "linear"), 0U);
  EXPECT_EQ(recomputed(after, "layer_norm"), 3U);
}

// Here the normalised value is all that the backward pass reads: making it again would keep its input instead.
TEST(RematerializeTest, KeepsNoOtherValueInstead) {
  SmallGraph small;
  const Graph after = rematerialize(small.capture([&](Capture& capture) {
    const Tensor input = capture.input("x", small.f32({kRows, kWidth}));
    const Tensor weight = capture.input("weight", small.f32({kWidth, kWidth}));
    const Tensor gain = capture.input("gain", small.f32({kWidth}));
    const Tensor loss = sum(matmul(layer_norm(add(input, input), gain, gain), weight));
    backward(loss, Tensors{weight}, [&](std::size_t, const Tensor& gradient) { capture.result("gradient", gradient); });
  }));
  EXPECT_EQ(recomputed(after, "layer_norm"), 0U);
}

TEST(RematerializeTest, LeavesResultsAlone) {
  SmallGraph small;
  const Graph after = rematerialize(small.capture([&](Capture& capture) {
    const Tensor input = capture.input("x", small.f32({kRows, kWidth}));
    const Tensor weight = capture.input("weight", small.f32({kWidth, kWidth}));
    const Tensor y = linear(input, weight, {}, Activation::kGelu);
    capture.result("hidden", y);
    backward(sum(square(linear(y, weight, {}))), Tensors{weight},
             [&](std::size_t, const Tensor& gradient) { capture.result("gradient", gradient); });
  }));
  EXPECT_EQ(recomputed(after, "gelu"), 0U);
}

}  // namespace
}  // namespace convoy
