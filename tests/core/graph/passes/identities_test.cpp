#include <gtest/gtest.h>

#include "core/graph/passes/passes.h"
#include "core/ops/elementwise.h"
#include "core/ops/view.h"
#include "tests/core/graph/passes/small_graph.h"

namespace convoy {
namespace {

Graph simplified(const Graph& graph) { return remove_dead(remove_identities(graph)); }

// How many nodes are left of what f(x, 1, 0) makes, x f32 [2, 3] and the others alike.
template <typename F>
std::size_t left(const F& f) {
  SmallGraph small;
  const Graph graph = simplified(small.capture([&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({2, 3}));
    const Tensor one = ones_like(x);
    capture.result("y", f(x, one, sub(one, one)));
  }));
  verify(graph);
  return graph.nodes().size();
}

TEST(IdentitiesTest, WhatChangesNothingGoes) {
  EXPECT_EQ(left([](const Tensor& x, const Tensor& one, const Tensor&) { return mul(x, one); }), 0U);
  EXPECT_EQ(left([](const Tensor& x, const Tensor& one, const Tensor&) { return mul(one, x); }), 0U);
  EXPECT_EQ(left([](const Tensor& x, const Tensor& one, const Tensor&) { return div(x, one); }), 0U);
  EXPECT_EQ(left([](const Tensor& x, const Tensor&, const Tensor& zero) { return sub(x, zero); }), 0U);
  EXPECT_EQ(left([](const Tensor& x, const Tensor&, const Tensor& zero) { return add(x, neg(zero)); }), 0U);
  EXPECT_EQ(left([](const Tensor& x, const Tensor&, const Tensor&) { return scale(x, 1.0); }), 0U);
  EXPECT_EQ(left([](const Tensor& x, const Tensor&, const Tensor&) { return neg(neg(x)); }), 0U);
  EXPECT_EQ(left([](const Tensor& x, const Tensor&, const Tensor&) { return pad(x, 1, 0, 0); }), 0U);
}

TEST(IdentitiesTest, WhatChangesABitStays) {
  EXPECT_EQ(left([](const Tensor& x, const Tensor& one, const Tensor&) { return div(one, x); }), 2U);
  // -0 + 0 is 0, and 0 - 0 makes the zero here.
  EXPECT_EQ(left([](const Tensor& x, const Tensor&, const Tensor& zero) { return add(x, zero); }), 3U);
  EXPECT_EQ(left([](const Tensor& x, const Tensor&, const Tensor& zero) { return sub(zero, x); }), 3U);
  EXPECT_EQ(left([](const Tensor& x, const Tensor&, const Tensor&) { return neg(neg(neg(x))); }), 1U);
  EXPECT_EQ(left([](const Tensor& x, const Tensor&, const Tensor&) { return pad(x, 1, 0, 1); }), 1U);
}

TEST(IdentitiesTest, BroadcastingIsNone) {
  SmallGraph small;
  const Graph graph = simplified(small.capture([&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({3}));
    capture.result("y", mul(x, ones_like(capture.input("like", small.f32({2, 3})))));
  }));
  EXPECT_EQ(graph.nodes().size(), 2U);
}

std::string casts(const Spec& from, std::initializer_list<DType> to) {
  SmallGraph small;
  return small.after(simplified, [&](Capture& capture) {
    Tensor x = capture.input("x", {from.dtype, from.shape, &small.device()});
    for (const DType dtype : to) x = cast(x, dtype);
    capture.result("y", x);
  });
}

TEST(IdentitiesTest, ExactCastsCancelOut) {
  EXPECT_EQ(casts({DType::kBF16, {2}}, {DType::kF32, DType::kBF16}), "%0 = input x: bf16[2]\nresult y = %0\n");
  EXPECT_EQ(casts({DType::kI32, {2}}, {DType::kF64, DType::kI64, DType::kI32}),
            "%0 = input x: i32[2]\nresult y = %0\n");
  EXPECT_EQ(casts({DType::kBF16, {2}}, {DType::kF32, DType::kF64}),
            "%0 = input x: bf16[2]\n"
            "%1 = forward cast(dtype=f64) %0: f64[2]\n"
            "result y = %1\n");
}

TEST(IdentitiesTest, RoundingCastsStay) {
  EXPECT_EQ(casts({DType::kI64, {2}}, {DType::kF64, DType::kI64}),
            "%0 = input x: i64[2]\n"
            "%1 = forward cast(dtype=f64) %0: f64[2]\n"
            "%2 = forward cast(dtype=i64) %1: i64[2]\n"
            "result y = %2\n");
  EXPECT_EQ(casts({DType::kF32, {2}}, {DType::kBF16, DType::kF32}),
            "%0 = input x: f32[2]\n"
            "%1 = forward cast(dtype=bf16) %0: bf16[2]\n"
            "%2 = forward cast(dtype=f32) %1: f32[2]\n"
            "result y = %2\n");
}

}  // namespace
}  // namespace convoy
