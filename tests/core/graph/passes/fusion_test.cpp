#include <gtest/gtest.h>

#include <algorithm>

#include "core/graph/interpreter.h"
#include "core/graph/passes/passes.h"
#include "core/graph/plan.h"
#include "core/ops/concat.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/random.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/core/graph/passes/small_graph.h"

namespace convoy {
namespace {

std::size_t fused_nodes(const Graph& graph) {
  return static_cast<std::size_t>(std::count_if(graph.nodes().begin(), graph.nodes().end(), [](const Node& node) {
    return node.op->name().starts_with("fused_");
  }));
}

// Some numbers for each input, as many alike as not.
Tensors inputs_for(const Graph& graph) {
  Tensors inputs;
  const Recorder recorder(graph.device(), {}, Recorder::Tape::kOff);
  for (const ValueId id : graph.inputs()) {
    const Spec& spec = graph.value(id).spec;
    std::vector<double> values;
    for (std::int64_t i = 0; i < spec.elements(); ++i)
      values.push_back(static_cast<double>((i * 37 + std::ssize(inputs) * 11) % 101) / 40.0 - 1.25);
    inputs.push_back(cast(Tensor::of<double>(graph.device(), spec.shape, values), spec.dtype));
  }
  return inputs;
}

std::vector<std::vector<double>> run(const Graph& graph) {
  std::vector<std::vector<double>> results;
  const Tensors tensors = interpret(graph, {.seed = 3, .step = 2, .shard = 1}, inputs_for(graph), {});
  const Recorder recorder(graph.device(), {}, Recorder::Tape::kOff);
  for (const Tensor& tensor : tensors) results.push_back(cast(tensor, DType::kF64).to_vector<double>());
  return results;
}

TEST(FusionTest, AChainIsOneNode) {
  SmallGraph small;
  EXPECT_EQ(small.after(fuse_elementwise,
                        [&](Capture& capture) {
                          const Tensor x = capture.input("x", small.f32({3, 4}));
                          const Tensor bias = capture.input("bias", small.f32({4}));
                          capture.result("y", mul(gelu(add(x, bias)), x));
                        }),
            "%0 = input x: f32[3, 4]\n"
            "%1 = input bias: f32[4]\n"
            "%2 = forward fused_elementwise(steps=#2 = add() #0 #1; #3 = gelu() #2; #4 = mul() #3 #0 -> #4) %0, "
            "%1: f32[3, 4]\n"
            "result y = %2\n");
}

TEST(FusionTest, WhatIsNeededOutsideIsAnOutput) {
  SmallGraph small;
  const Graph graph = fuse_elementwise(small.capture([&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({3, 4})), y = capture.input("y", small.f32({3, 4}));
    const Tensor sum = add(x, y);
    capture.result("product", matmul(gelu(sum), sum, false, true));
    capture.result("sum", sum);
    capture.result("later", matmul(concat({x, x, x, x}, 0), y, false, true));  // more memory than the group needs
  }));
  ASSERT_EQ(graph.nodes().size(), 4U);
  EXPECT_EQ(graph.nodes()[0].outputs.size(), 2U);
}

TEST(FusionTest, PhasesAndShapesStayApart) {
  SmallGraph small;
  const Graph graph = fuse_elementwise(small.capture([&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({4}));
    const Tensor y = capture.input("y", small.f32({3, 4}));
    const Tensor wide = add(exp(x), y);
    const PhaseScope phase(Phase::kBackward);
    capture.result("r", neg(wide));
  }));
  EXPECT_EQ(graph.nodes().size(), 3U);
}

// Its reader stands between the two.
TEST(FusionTest, NothingRunsAfterWhoReadsIt) {
  SmallGraph small;
  const Graph graph = fuse_elementwise(small.capture([&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({4, 4}));
    const Tensor y = exp(x);
    const Tensor product = matmul(y, x);
    capture.result("r", add(y, product));
  }));
  verify(graph);
  EXPECT_EQ(fused_nodes(graph), 0U);
}

// Fused with its late reader, `small` would keep the large value it is made of alive all the while.
TEST(FusionTest, DoesNotKeepLargeValuesForSmallOnes) {
  SmallGraph small;
  const auto build = [&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({64, 64}));
    const Tensor y = matmul(x, x);
    const Tensor rounded = cast(y, DType::kBF16);
    Tensor z = x;
    for (int i = 0; i < 3; ++i) z = matmul(z, x);
    capture.result("r", add(rounded, cast(z, DType::kBF16)));
  };
  const Graph graph = small.capture(build);
  const Graph fused = fuse_elementwise(graph);
  const Plan before(graph, {}), after(fused, {});
  EXPECT_LE(after.memory().lower_bound, before.memory().lower_bound);
}

// All the ways an operand may lie, in all dtypes, over several tiles and threads, random numbers among them.
TEST(FusionTest, HasTheBitsOfOneOperatorAfterTheOther) {
  for (const int threads : {1, 3}) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64}) {
      CpuDevice device(threads);
      Capture capture(device);
      const auto input = [&](const Shape& shape) { return capture.input("x", {dtype, shape, &device}); };
      const Tensor x = input({50, 7, 130}), row = input({130}), column = input({50, 1, 1}), one = input({1});
      const Tensor turned = transpose(input({130, 7, 50}), 0, 2), sliced = slice(input({50, 9, 130}), 1, 1, 8);
      Tensor y = dropout(add(x, row), 0.25);
      y = mul(sub(y, column), add(turned, one));
      y = dropout(gelu(add(y, sliced)), 0.5);
      capture.result("wide", cast(y, DType::kF64));
      capture.result("last", tanh(maximum(y, broadcast_to(row, {50, 7, 130}))));
      capture.result("more memory than the group needs", concat({x, x, x, x, x, x, x, x}, 0));
      const Graph graph = capture.finish();
      const Graph fused = fuse_elementwise(graph);
      verify(fused);
      EXPECT_EQ(fused_nodes(fused), 1U) << to_text(fused);

      EXPECT_EQ(run(fused), run(graph)) << name_of(dtype);
    }
  }
}

TEST(FusionTest, ASumIsFedWhatIsNeverStored) {
  SmallGraph small;
  EXPECT_EQ(small.after(fuse_elementwise,
                        [&](Capture& capture) {
                          const Tensor x = capture.input("x", small.f32({3, 4}));
                          capture.result("y", sum(mul(exp(x), x), {1}));
                        }),
            "%0 = input x: f32[3, 4]\n"
            "%1 = forward fused_reduction(steps=#1 = exp() #0; #2 = mul() #1 #0 -> #2, "
            "reduction=sum(axes=[1], keep=0, dtype=f32)) %0: f32[3]\n"
            "result y = %1\n");
}

TEST(FusionTest, WhatOthersReadIsStoredBeforeItIsSummed) {
  SmallGraph small;
  const Graph graph = fuse_elementwise(small.capture([&](Capture& capture) {
    const Tensor y = exp(capture.input("x", small.f32({3, 4})));
    capture.result("sum", sum(y));
    capture.result("y", y);
  }));
  EXPECT_EQ(fused_nodes(graph), 0U);
}

// Along rows and columns that are shorter and longer than the blocks that sums are made of.
TEST(FusionTest, SumsHaveTheirOwnOrder) {
  struct Case {
    Shape shape;
    std::vector<std::int64_t> axes;
  };
  const Case cases[] = {{{7, 130}, {1}},        {{3, 5000}, {1}},    {{2, 70001}, {1}},  {{200000}, {0}},
                        {{130, 7}, {0}},        {{300, 700}, {0}},   {{5, 66, 33}, {1}}, {{9, 130, 5}, {0, 1}},
                        {{2, 3, 4, 5}, {1, 2}}, {{3, 2500, 3}, {1}}, {{70, 3001}, {0}},  {{4, 1, 6}, {1}}};
  for (const int threads : {1, 3}) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64}) {
      for (const auto& [shape, axes] : cases) {
        for (const DType to : {dtype, compute_dtype(dtype)}) {
          CpuDevice device(threads);
          Capture capture(device);
          const Tensor x = capture.input("x", {dtype, shape, &device});
          const Tensor row = capture.input("row", {dtype, {shape[-1]}, &device});
          capture.result("y", sum(dropout(mul(gelu(x), row), 0.25), axes, true, to));
          capture.result("more memory than the group needs", concat({x, x, x}, 0));
          const Graph graph = capture.finish();
          const Graph fused = fuse_elementwise(graph);
          verify(fused);
          ASSERT_EQ(fused.nodes().size(), 2U) << to_text(fused);
          EXPECT_EQ(run(fused), run(graph)) << name_of(dtype) << shape.to_string();
        }
      }
    }
  }
}

}  // namespace
}  // namespace convoy
