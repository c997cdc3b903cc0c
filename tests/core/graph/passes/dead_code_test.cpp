#include <gtest/gtest.h>

#include "core/graph/passes/passes.h"
#include "core/ops/elementwise.h"
#include "core/ops/softmax.h"
#include "core/ops/update.h"
#include "tests/core/graph/passes/small_graph.h"

namespace convoy {
namespace {

TEST(DeadCodeTest, KeepsWhatReachesAResult) {
  SmallGraph small;
  EXPECT_EQ(small.after(remove_dead,
                        [&](Capture& capture) {
                          const Tensor x = capture.input("x", small.f32({3}));
                          const Tensor unused = exp(x);
                          capture.result("y", neg(x));
                          neg(unused);
                        }),
            "%0 = input x: f32[3]\n"
            "%1 = forward neg() %0: f32[3]\n"
            "result y = %1\n");
}

TEST(DeadCodeTest, KeepsWhatReachesState) {
  SmallGraph small;
  const Tensor parameter = Tensor::zeros(small.f32({4}));
  const Graph graph = remove_dead(small.capture([&](Capture& capture) {
    capture.state("parameter", parameter);
    const Tensor g = capture.input("gradient", small.f32({4}));
    sgd_update({}, Tensors{parameter}, neg(g), capture.input("factors", small.f64({3})));
  }));
  EXPECT_EQ(graph.nodes().size(), 2U);
  EXPECT_EQ(graph.assignments().size(), 1U);
}

TEST(DeadCodeTest, KeepsInputsAndWholeNodes) {
  SmallGraph small;
  EXPECT_EQ(small.after(remove_dead,
                        [&](Capture& capture) {
                          capture.input("unread", small.f32({3}));
                          const Tensor x = capture.input("x", small.f32({2, 3}));
                          const Tensor y = capture.input("y", {DType::kI32, {2}, &small.device()});
                          capture.result("loss", cross_entropy(x, y).sum);
                        }),
            "%0 = input unread: f32[3]\n"
            "%1 = input x: f32[2, 3]\n"
            "%2 = input y: i32[2]\n"
            "%3, %4, %5 = forward cross_entropy() %1, %2: f64[], f64[], f32[2]\n"
            "result loss = %3\n");
}

}  // namespace
}  // namespace convoy
