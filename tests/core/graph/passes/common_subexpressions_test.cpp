#include <gtest/gtest.h>

#include "core/graph/passes/passes.h"
#include "core/ops/elementwise.h"
#include "core/ops/random.h"
#include "tests/core/graph/passes/small_graph.h"

namespace convoy {
namespace {

TEST(CommonSubexpressionsTest, ComputesOnce) {
  SmallGraph small;
  EXPECT_EQ(small.after(merge_common,
                        [&](Capture& capture) {
                          const Tensor x = capture.input("x", small.f32({3}));
                          capture.result("y", add(neg(exp(x)), neg(exp(x))));
                        }),
            "%0 = input x: f32[3]\n"
            "%1 = forward exp() %0: f32[3]\n"
            "%2 = forward neg() %1: f32[3]\n"
            "%3 = forward add() %2, %2: f32[3]\n"
            "result y = %3\n");
}

TEST(CommonSubexpressionsTest, AttributesInputsAndTheirOrderCount) {
  SmallGraph small;
  const Graph graph = merge_common(small.capture([&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({3})), y = capture.input("y", small.f32({3}));
    const Tensor results[] = {scale(x, 2.0), scale(x, 2.0 + 1e-15), scale(y, 2.0), sub(x, y), sub(y, x)};
    for (const Tensor& result : results) capture.result("r", result);
  }));
  EXPECT_EQ(graph.nodes().size(), 5U);
}

TEST(CommonSubexpressionsTest, PhasesAreKeptApart) {
  SmallGraph small;
  const Graph graph = merge_common(small.capture([&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({3}));
    capture.result("y", exp(x));
    const PhaseScope phase(Phase::kBackward);
    capture.result("z", exp(x));
  }));
  EXPECT_EQ(graph.nodes().size(), 2U);
}

TEST(CommonSubexpressionsTest, RandomNumbersAreDrawnAsOftenAsBefore) {
  SmallGraph small;
  const Graph graph = merge_common(small.capture([&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({3}));
    capture.result("y", dropout(x, 0.5));
    capture.result("z", dropout(x, 0.5));
  }));
  EXPECT_EQ(graph.nodes().size(), 2U);
}

}  // namespace
}  // namespace convoy
