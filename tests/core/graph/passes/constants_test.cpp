#include <gtest/gtest.h>

#include "core/graph/interpreter.h"
#include "core/graph/passes/passes.h"
#include "core/ops/elementwise.h"
#include "core/ops/view.h"
#include "tests/core/graph/passes/small_graph.h"

namespace convoy {
namespace {

TEST(ConstantsTest, ElementwiseOperatorsOfConstantsAreConstants) {
  SmallGraph small;
  EXPECT_EQ(small.after([](const Graph& graph) { return remove_dead(fold_constants(graph)); },
                        [&](Capture& capture) {
                          const Tensor x = capture.input("x", small.f32({2, 3}));
                          capture.result("y", mul(x, add_scalar(neg(scale(ones_like(x), 4.0)), 1.0)));
                        }),
            "%0 = input x: f32[2, 3]\n"
            "%1 = forward constant(value=-3, bits=c0400000, dtype=f32) : f32[]\n"
            "%2 = forward repeat(shape=[2, 3]) %1: f32[2, 3]\n"
            "%3 = forward mul() %0, %2: f32[2, 3]\n"
            "result y = %3\n");
}

TEST(ConstantsTest, GoThroughViewsAndRoundAsKernelsDo) {
  SmallGraph small;
  const Tensor x = Tensor::zeros(small.bf16({3}));
  const Graph graph = small.capture([&](Capture& capture) {
    const Tensor one = ones_like(capture.input("x", x.spec()));
    const Tensor third = div(one, scale(one, 3.0));  // rounded to bf16
    const Tensor wide = broadcast_to(reshape(third, {3, 1}), {3, 4});
    capture.result("y", cast(exp(wide), DType::kF32));
  });
  const Graph folded = fold_constants(graph);
  verify(folded);
  const auto run = [&](const Graph& which) { return interpret(which, {}, Tensors{x}, {})[0].to_vector<float>(); };
  EXPECT_EQ(run(folded), run(graph));
  for (const Node& node : folded.nodes()) EXPECT_FALSE(node.op->traits().tiled) << node.op->name();
}

TEST(ConstantsTest, WhatDependsOnInputsStays) {
  SmallGraph small;
  const Graph graph = fold_constants(small.capture([&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({2}));
    capture.result("y", mul(exp(x), neg(x)));
  }));
  EXPECT_EQ(graph.nodes().size(), 3U);
}

}  // namespace
}  // namespace convoy
