#include <gtest/gtest.h>

#include "core/graph/passes/passes.h"
#include "core/ops/elementwise.h"
#include "core/ops/view.h"
#include "tests/core/graph/passes/small_graph.h"

namespace convoy {
namespace {

template <typename F>
std::string left(const F& f) {
  SmallGraph small;
  return small.after([](const Graph& graph) { return remove_dead(remove_views(graph)); },
                     [&](Capture& capture) {
                       capture.result("y", f(capture.input("x", small.f32({2, 3, 4}))));
                     });
}

constexpr char kInputItself[] = "%0 = input x: f32[2, 3, 4]\nresult y = %0\n";

TEST(ViewsTest, PairsCancelOut) {
  EXPECT_EQ(left([](const Tensor& x) { return transpose(transpose(x, 0, 2), 2, 0); }), kInputItself);
  EXPECT_EQ(left([](const Tensor& x) { return reshape(reshape(x, {6, 4}), {2, 3, 4}); }), kInputItself);
  EXPECT_EQ(left([](const Tensor& x) { return permute(permute(x, {1, 2, 0}), {2, 0, 1}); }), kInputItself);
}

TEST(ViewsTest, WholeViewsGo) {
  EXPECT_EQ(left([](const Tensor& x) { return reshape(x, {2, -1, 4}); }), kInputItself);
  EXPECT_EQ(left([](const Tensor& x) { return slice(x, 1, 0, 3); }), kInputItself);
  EXPECT_EQ(left([](const Tensor& x) { return permute(x, {0, 1, 2}); }), kInputItself);
}

TEST(ViewsTest, EqualViewsAreOne) {
  EXPECT_EQ(left([](const Tensor& x) { return sub(slice(slice(x, 0, 0, 2), 1, 1, 3), slice(x, 1, 1, 3)); }),
            "%0 = input x: f32[2, 3, 4]\n"
            "%1 = forward slice(axis=1, begin=1, end=3) %0: f32[2, 2, 4]\n"
            "%2 = forward sub() %1, %1: f32[2, 2, 4]\n"
            "result y = %2\n");
}

TEST(ViewsTest, OtherViewsStay) {
  EXPECT_EQ(left([](const Tensor& x) { return transpose(transpose(x, 0, 1), 0, 2); }),
            "%0 = input x: f32[2, 3, 4]\n"
            "%1 = forward permute(axes=[1, 0, 2]) %0: f32[3, 2, 4]\n"
            "%2 = forward permute(axes=[2, 1, 0]) %1: f32[4, 2, 3]\n"
            "result y = %2\n");
  // A reshape that has to copy makes a new value: turning back what it was made of is not turning it back.
  const std::string text = left([](const Tensor& x) {
    return reshape(reshape(transpose(x, 1, 2), {2, 12}), {2, 4, 3});
  });
  EXPECT_NE(text.find("reshape(shape=[2, 12])"), std::string::npos) << text;
}

}  // namespace
}  // namespace convoy
