#include <gtest/gtest.h>

#include "core/graph/passes/passes.h"
#include "core/ops/elementwise.h"
#include "core/ops/view.h"
#include "tests/core/graph/passes/small_graph.h"

namespace convoy {
namespace {

TEST(ReordersTest, AStridedValueIsCopiedOnce) {
  SmallGraph small;
  EXPECT_EQ(small.after(share_copies,
                        [&](Capture& capture) {
                          const Tensor turned = transpose(capture.input("x", small.f32({2, 3})), 0, 1);
                          capture.result("y", exp(turned));
                          capture.result("z", neg(turned));
                          capture.result("w", add(turned, turned));  // reads it as it is
                        }),
            "%0 = input x: f32[2, 3]\n"
            "%1 = forward permute(axes=[1, 0]) %0: f32[3, 2]\n"
            "%2 = forward reorder() %1: f32[3, 2]\n"
            "%3 = forward exp() %2: f32[3, 2]\n"
            "%4 = forward neg() %2: f32[3, 2]\n"
            "%5 = forward add() %1, %1: f32[3, 2]\n"
            "result y = %3\n"
            "result z = %4\n"
            "result w = %5\n");
}

TEST(ReordersTest, NotFromPhaseToPhase) {
  SmallGraph small;
  const Graph graph = share_copies(small.capture([&](Capture& capture) {
    const Tensor turned = transpose(capture.input("x", small.f32({2, 3})), 0, 1);
    capture.result("y", exp(turned));
    const PhaseScope phase(Phase::kBackward);
    capture.result("z", neg(turned));
  }));
  EXPECT_EQ(graph.nodes().size(), 3U);
}

TEST(ReordersTest, WhatLiesInOrderIsNotCopied) {
  SmallGraph small;
  const Graph graph = share_copies(small.capture([&](Capture& capture) {
    const Tensor view = reshape(capture.input("x", small.f32({2, 3})), {6});
    capture.result("y", exp(view));
    capture.result("z", neg(view));
  }));
  EXPECT_EQ(graph.nodes().size(), 3U);
}

}  // namespace
}  // namespace convoy
