#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/rotary.h"
#include "core/ops/swiglu.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

Tensors gated(std::span<const Tensor> in) { return {swiglu(in[0], in[1])}; }
Tensors gated_backward(std::span<const Tensor> in) { return convoy::apply(make_op("swiglu_backward"), in); }

OpRun turned(double theta) {
  return [=](std::span<const Tensor> in) { return Tensors{rotary(in[0], theta)}; };
}

}  // namespace

std::vector<OpRow> llama_rows() {
  return {
      {"swiglu",
       {{"a matrix", {real({3, 7}, -4, 4), real({3, 7})}, gated, {{3, 7}}, {0, 1}},
        {"a scalar", {real({}), real({})}, gated, {{}}, {0, 1}},
        {"nothing", {real({0, 3}), real({0, 3})}, gated, {{0, 3}}, {0, 1}},
        {"many", {real({200, 301}, -4, 4), real({200, 301})}, gated, {{200, 301}}, {0, 1}, 1e-5, false}},
       {{"shapes that only broadcast", {real({3, 5}), real({5})}, gated},
        {"integers", {integers({2}, 0, 3), integers({2}, 0, 3)}, gated}},
       {},
       {},
       true},
      {"swiglu_backward",
       {{"a matrix", {real({3, 7}, -4, 4), real({3, 7}), real({3, 7})}, gated_backward, {{3, 7}, {3, 7}}, {}},
        {"nothing", {real({0}), real({0}), real({0})}, gated_backward, {{0}, {0}}, {}},
        {"many",
         {real({200, 301}, -4, 4), real({200, 301}), real({200, 301})},
         gated_backward,
         {{200, 301}, {200, 301}},
         {}}},
       {{"a gradient of another shape", {real({3, 5}), real({3, 5}), real({5})}, gated_backward}},
       {},
       {},
       true},
      {"rotary",
       {{"two heads", {real({2, 5, 2, 6})}, turned(10000), {{2, 5, 2, 6}}, {0}},
        {"pairs", {real({1, 3, 1, 2})}, turned(100), {{1, 3, 1, 2}}, {0}},
        {"no time", {real({2, 0, 2, 4})}, turned(10000), {{2, 0, 2, 4}}, {0}},
        {"many", {real({2, 70, 3, 50})}, turned(500000), {{2, 70, 3, 50}}, {0}, 1e-5, false}},
       {{"an odd depth", {real({2, 5, 2, 3})}, turned(10000)},
        {"no depth", {real({2, 5, 2, 0})}, turned(10000)},
        {"other rank", {real({5, 2, 4})}, turned(10000)},
        {"a base of zero", {real({2, 5, 2, 4})}, turned(0)}},
       {},
       {},
       true},
  };
}

}  // namespace convoy
