#include "core/ops/elementwise.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

using UnaryFunction = Tensor (*)(const Tensor&);
using BinaryFunction = Tensor (*)(const Tensor&, const Tensor&);

OpRow unary(const std::string& op, const std::function<Tensor(const Tensor&)>& function, double low, double high,
            double tolerance = 1e-5) {
  const OpRun run = [function](std::span<const Tensor> in) { return Tensors{function(in[0])}; };
  const std::vector<std::size_t> which = {0};
  return {op,
          {{"a matrix", {real({3, 7}, low, high)}, run, {{3, 7}}, which, tolerance},
           {"a scalar", {real({}, low, high)}, run, {{}}, which, tolerance},
           {"extents of 1", {real({1, 5, 1}, low, high)}, run, {{1, 5, 1}}, which, tolerance},
           {"nothing", {real({0, 3}, low, high)}, run, {{0, 3}}, which, tolerance},
           {"many", {real({257, 300}, low, high)}, run, {{257, 300}}, which, tolerance, false}},
          {{"integers", {integers({2}, 0, 3)}, run}},
          {},
          {},
          true};
}

OpRow binary(const std::string& op, BinaryFunction function, double low = -1, double high = 1,
             bool differentiable = true) {
  const OpRun run = [function](std::span<const Tensor> in) { return Tensors{function(in[0], in[1])}; };
  const std::vector<std::size_t> both = differentiable ? std::vector<std::size_t>{0, 1} : std::vector<std::size_t>{};
  const auto a_case = [&](const std::string& what, const Shape& a, const Shape& b, const Shape& out) {
    return OpCase{what, {real(a), real(b, low, high)}, run, {out}, both};
  };
  OpRow row{op,
            {a_case("equal shapes", {3, 5}, {3, 5}, {3, 5}), a_case("a row", {3, 5}, {5}, {3, 5}),
             a_case("a column", {3, 5}, {3, 1}, {3, 5}), a_case("both ways", {4, 1, 3}, {2, 1}, {4, 2, 3}),
             a_case("a scalar first", {}, {2, 3}, {2, 3}), a_case("a scalar second", {2, 3}, {}, {2, 3}),
             a_case("in the middle", {2, 3, 4}, {2, 1, 4}, {2, 3, 4}), a_case("nothing", {0, 3}, {3}, {0, 3}),
             a_case("scalars", {}, {}, {}), a_case("many", {130, 300}, {300}, {130, 300})},
            {{"shapes that do not broadcast", {real({2, 3}), real({2, 4})}, run},
             {"integers", {real({2}), integers({2}, 0, 1)}, run}},
            {},
            {},
            true};
  row.cases.back().numerical = false;
  row.cases.back().tolerance = 1e-4;
  row.cases.back().bf16_gradient_tolerance = 0x1p-4;  // sums of 130 rounded products
  return row;
}

OpRow by_output(const std::string& op, BinaryFunction function) {
  const OpRun run = [function](std::span<const Tensor> in) { return Tensors{function(in[0], in[1])}; };
  return {op,
          {{"a matrix", {real({3, 7}, -3, 3), real({3, 7})}, run, {{3, 7}}, {}},
           {"nothing", {real({0}), real({0})}, run, {{0}}, {}},
           {"many", {real({200, 301}, -3, 3), real({200, 301})}, run, {{200, 301}}, {}}},
          {{"different shapes", {real({3, 5}), real({5})}, run}},
          {},
          {},
          true};
}

}  // namespace

std::vector<OpRow> elementwise_rows() {
  const OpRun to_double = [](std::span<const Tensor> in) { return Tensors{cast(in[0], DType::kF64)}; };
  const OpRun to_single = [](std::span<const Tensor> in) {
    return Tensors{cast(cast(in[0], DType::kF64), DType::kF32)};
  };
  const OpRun to_half = [](std::span<const Tensor> in) { return Tensors{cast(in[0], DType::kBF16)}; };
  const OpRun to_integers = [](std::span<const Tensor> in) { return Tensors{cast(in[0], DType::kI32)}; };
  return {
      binary("add", add),
      binary("sub", sub),
      binary("mul", mul),
      binary("div", div, 0.5, 2),
      binary("maximum", maximum),
      binary("greater_equal", greater_equal, -1, 1, false),
      by_output("gelu_backward", gelu_backward),
      by_output("silu_backward", silu_backward),
      by_output("relu_backward", relu_backward),
      unary("neg", neg, -1, 1),
      unary("exp", static_cast<UnaryFunction>(exp), -4, 4),
      unary("log", static_cast<UnaryFunction>(log), 0.1, 5),
      unary("sqrt", static_cast<UnaryFunction>(sqrt), 0.1, 5),
      unary("tanh", static_cast<UnaryFunction>(tanh), -3, 3),
      unary("relu", relu, -1, 1),
      unary("gelu", gelu, -4, 4),
      unary("silu", silu, -4, 4),
      unary("square", square, -2, 2),
      unary(
          "scale", [](const Tensor& x) { return scale(x, -1.75); }, -1, 1),
      unary(
          "add_scalar", [](const Tensor& x) { return add_scalar(x, 0.3); }, -1, 1),
      unary("ones_like", ones_like, -1, 1),
      {"cast",
       {{"to f64", {real({3, 4})}, to_double, {{3, 4}}, {0}},
        {"to f32", {real({3, 4})}, to_single, {{3, 4}}, {}},
        {"to bf16", {real({3, 70})}, to_half, {{3, 70}}, {}, 0x1p-8},
        {"to integers", {real({40}, -9, 9)}, to_integers, {{40}}, {}},
        {"from integers", {integers({5}, -3, 3)}, to_double, {{5}}, {}},
        {"nothing", {real({0})}, to_double, {{0}}, {0}}},
       {},
       "any type casts to any other, in any shape",
       {},
       true},
  };
}

}  // namespace convoy
