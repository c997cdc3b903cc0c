#include <gtest/gtest.h>

#include "core/graph/backward.h"
#include "core/graph/interpreter.h"
#include "core/graph/passes/passes.h"
#include "core/graph/plan.h"
#include "core/ops/elementwise.h"
#include "core/ops/random.h"
#include "core/ops/reduce.h"
#include "tests/core/graph/passes/small_graph.h"

namespace convoy {
namespace {

constexpr std::int64_t kElements = 1000;

// Blocks that keep two values of their own for the backward pass.
Graph stack_of_blocks(SmallGraph& small, int blocks, bool scopes = true) {
  return small.capture([&](Capture& capture) {
    const Tensor leaf = capture.input("x", small.f32({kElements}));
    Tensor x = leaf;
    for (int i = 0; i < blocks; ++i) {
      std::optional<BlockScope> block;
      if (scopes) block.emplace();
      const Tensor y = dropout(gelu(tanh(x)), 0.25);
      x = add(x, square(y));
    }
    const Tensor loss = sum(square(x));
    capture.result("loss", loss);
    backward(loss, Tensors{leaf}, [&](std::size_t, const Tensor& gradient) { capture.result("gradient", gradient); });
  });
}

std::size_t recomputed(const Graph& graph) {
  std::size_t count = 0;
  for (const Node& node : graph.nodes()) count += node.phase == Phase::kRecompute ? 1 : 0;
  return count;
}

TEST(RecomputeTest, KeepsBlockInputsAlone) {
  SmallGraph small;
  const Graph graph = stack_of_blocks(small, 8);
  const Graph after = recompute_blocks(graph);
  verify(after);
  EXPECT_EQ(recomputed(after), 24U) << "tanh, gelu and dropout of each block; its output is the next one's input";
  const Plan before_plan(graph, {}), after_plan(after, {});
  EXPECT_GT(before_plan.memory().lower_bound, 16 * kElements * sizeof(float));
  EXPECT_LT(after_plan.memory().lower_bound, 13 * kElements * sizeof(float));
}

TEST(RecomputeTest, DrawsTheSameRandomNumbers) {
  SmallGraph small;
  const Graph graph = stack_of_blocks(small, 3);
  std::vector<float> values(kElements);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 17) / 8.0F - 1.0F;
  const Tensors inputs = {Tensor::of<float>(small.device(), {kElements}, values)};
  const StepKey key{.seed = 8, .step = 1, .shard = 2};
  const Tensors expected = interpret(graph, key, inputs, {});
  const Tensors actual = interpret(recompute_blocks(graph), key, inputs, {});
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(actual[i].to_vector<float>(), expected[i].to_vector<float>());
}

TEST(RecomputeTest, WithoutBlocksNothingRunsAgain) {
  SmallGraph small;
  EXPECT_EQ(recomputed(recompute_blocks(stack_of_blocks(small, 3, false))), 0U);
}

TEST(RecomputeTest, CommonSubexpressionsDoNotUndoIt) {
  SmallGraph small;
  const Graph after = merge_common(recompute_blocks(stack_of_blocks(small, 3)));
  EXPECT_EQ(recomputed(after), 9U);
}

}  // namespace
}  // namespace convoy
