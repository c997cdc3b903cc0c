#include "core/ops/reduce.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

OpRun over(const std::vector<std::int64_t>& axes, bool keep = false, std::optional<DType> dtype = {}) {
  return [=](std::span<const Tensor> in) { return Tensors{sum(in[0], axes, keep, dtype)}; };
}

// What is not rounded to bf16.
Tensors compute_sum(std::span<const Tensor> in) { return {sum(in[0], {0, 2}, false, compute_dtype(in[0].dtype()))}; }

OpRun mean_over(const std::vector<std::int64_t>& axes) {
  return [=](std::span<const Tensor> in) { return Tensors{mean(in[0], axes, true)}; };
}

OpRun down_to(const Shape& shape) {
  return [=](std::span<const Tensor> in) { return Tensors{sum_to(in[0], shape)}; };
}

OpRun max_along(int axis, bool keep = false) {
  return [=](std::span<const Tensor> in) { return Tensors{max(in[0], axis, keep)}; };
}

OpRun max_backward_along(int axis) {
  return [=](std::span<const Tensor> in) { return Tensors{max_backward(in[0], max(in[0], axis, true), in[1], axis)}; };
}

OpCase large(OpCase op_case, double tolerance = 1e-4) {
  op_case.numerical = false;
  op_case.tolerance = tolerance;
  return op_case;
}

}  // namespace

std::vector<OpRow> reduce_rows() {
  return {
      {"sum",
       {{"all", {real({3, 5})}, [](std::span<const Tensor> in) { return Tensors{sum(in[0])}; }, {{}}, {0}},
        {"rows", {real({3, 5})}, over({1}), {{3}}, {0}},
        {"columns", {real({3, 5})}, over({0}), {{5}}, {0}},
        {"the middle", {real({2, 3, 4})}, over({-2}, true), {{2, 1, 4}}, {0}},
        {"the ends", {real({2, 3, 4})}, over({2, 0}), {{3}}, {0}},
        {"every other", {real({2, 3, 2, 3})}, over({0, 2}, true), {{1, 3, 1, 3}}, {0}},
        {"without rounding", {real({2, 30, 9})}, compute_sum, {{30}}, {0}, 1e-5, true, 0},
        {"extents of 1", {real({1, 3, 1})}, over({0, 2}), {{3}}, {0}},
        {"no elements", {real({0, 3})}, over({0}), {{3}}, {0}},
        {"no rows", {real({0, 3})}, over({1}), {{0}}, {0}},
        {"a mean", {real({4, 6})}, mean_over({0}), {{1, 6}}, {0}},
        {"undoing a broadcast", {real({2, 3, 4})}, down_to({3, 1}), {{3, 1}}, {0}},
        large({"many rows", {real({300, 70})}, over({0}), {{70}}, {0}}),
        large({"long rows", {real({3, 5000})}, over({1}), {{3}}, {0}}),
        large({"very long rows", {real({2, 140001})}, over({1}), {{2}}, {0}}),
        large({"planes", {real({20, 130, 90})}, over({1}), {{20, 90}}, {0}})},
       {{"no such axis", {real({2, 3})}, over({2})},
        {"an axis twice", {real({2, 3})}, over({0, -2})},
        {"integers", {integers({3}, 0, 9)}, over({0})},
        {"sum_to what does not broadcast", {real({2, 3})}, down_to({4, 3})},
        {"an f64 sum of f32", {real({2, 3})}, over({1}, false, DType::kF64)}},
       {},
       {},
       true},
      {"max",
       {{"rows", {real({3, 5})}, max_along(-1), {{3}}, {0}},
        {"columns", {real({3, 5})}, max_along(0, true), {{1, 5}}, {0}},
        {"the middle", {real({2, 4, 3})}, max_along(1), {{2, 3}}, {0}},
        {"no rows", {real({0, 3})}, max_along(1), {{0}}, {0}}},
       {{"no elements", {real({0, 3})}, max_along(0)}, {"no such axis", {real({3})}, max_along(1)}},
       {},
       {},
       true},
      {"max_backward",
       {{"rows", {real({3, 5}), real({3, 1})}, max_backward_along(1), {{3, 5}}, {}},
        {"columns", {real({3, 5}), real({1, 5})}, max_backward_along(0), {{3, 5}}, {}}},
       {{"a gradient of another shape", {real({3, 5}), real({3})}, max_backward_along(1)}},
       {},
       {},
       true},
  };
}

}  // namespace convoy
