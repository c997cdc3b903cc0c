#include "core/ops/matmul.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

OpRun product(bool transpose_a = false, bool transpose_b = false) {
  return [=](std::span<const Tensor> in) { return Tensors{matmul(in[0], in[1], transpose_a, transpose_b)}; };
}

OpRun product_in(DType dtype) {
  return [=](std::span<const Tensor> in) { return Tensors{matmul(in[0], in[1], false, false, dtype)}; };
}

// What is not rounded to bf16.
Tensors compute_product(std::span<const Tensor> in) {
  return {matmul(in[0], in[1], false, false, compute_dtype(in[0].dtype()))};
}

OpRun layer(Activation activation = Activation::kNone) {
  return [=](std::span<const Tensor> in) {
    return Tensors{linear(in[0], in[1], in.size() == 3 ? in[2] : Tensor(), activation)};
  };
}

OpCase large(OpCase op_case) {
  op_case.numerical = false;
  op_case.tolerance = 2e-4;
  return op_case;
}

}  // namespace

std::vector<OpRow> matmul_rows() {
  return {
      {"matmul",
       {{"plain", {real({3, 4}), real({4, 5})}, product(), {{3, 5}}, {0, 1}},
        {"a transposed", {real({4, 3}), real({4, 5})}, product(true), {{3, 5}}, {0, 1}},
        {"b transposed", {real({3, 4}), real({5, 4})}, product(false, true), {{3, 5}}, {0, 1}},
        {"both transposed", {real({4, 3}), real({5, 4})}, product(true, true), {{3, 5}}, {0, 1}},
        {"a batch", {real({2, 3, 4}), real({2, 4, 5})}, product(), {{2, 3, 5}}, {0, 1}},
        {"a batch, a transposed", {real({2, 4, 3}), real({2, 4, 5})}, product(true), {{2, 3, 5}}, {0, 1}},
        {"a batch, b transposed", {real({2, 3, 4}), real({2, 5, 4})}, product(false, true), {{2, 3, 5}}, {0, 1}},
        {"a batch of batches, both transposed",
         {real({2, 2, 4, 3}), real({2, 2, 5, 4})},
         product(true, true),
         {{2, 2, 3, 5}},
         {0, 1}},
        {"leading dimensions as rows", {real({2, 3, 4}), real({4, 5})}, product(), {{2, 3, 5}}, {0, 1}},
        {"leading dimensions as rows, b transposed",
         {real({2, 2, 3, 4}), real({5, 4})},
         product(false, true),
         {{2, 2, 3, 5}},
         {0, 1}},
        {"extents of 1", {real({1, 1}), real({1, 1})}, product(), {{1, 1}}, {0, 1}},
        {"a row and a column", {real({1, 9}), real({9, 1})}, product(), {{1, 1}}, {0, 1}},
        {"no rows", {real({0, 4}), real({4, 5})}, product(), {{0, 5}}, {0, 1}},
        {"nothing to sum", {real({3, 0}), real({0, 5})}, product(), {{3, 5}}, {0, 1}},
        {"an empty batch", {real({0, 3, 4}), real({0, 4, 5})}, product(), {{0, 3, 5}}, {0, 1}},
        {"a master", {real({2, 3, 4}), master({4, 5})}, product(), {{2, 3, 5}}, {0, 1}},
        {"a master transposed", {real({3, 4}), master({5, 4})}, product(false, true), {{3, 5}}, {0, 1}},
        {"without rounding", {real({9, 40}), real({40, 7})}, compute_product, {{9, 7}}, {0, 1}, 1e-5, true, 0},
        large({"a large master", {real({70, 800}), master({1100, 800})}, product(false, true), {{70, 1100}}, {0, 1}}),
        large({"large", {real({70, 130}), real({130, 90})}, product(), {{70, 90}}, {0, 1}}),
        large({"a long sum", {real({6, 4200}), real({5, 4200})}, product(false, true), {{6, 5}}, {0, 1}})},
       {{"inner dimensions that differ", {real({3, 4}), real({5, 4})}, product()},
        {"a vector", {real({4}), real({4, 5})}, product()},
        {"batches that differ", {real({2, 3, 4}), real({3, 4, 5})}, product()},
        {"batches of different rank", {real({3, 4}), real({1, 4, 5})}, product()},
        {"leading dimensions as rows, a transposed", {real({2, 4, 3}), real({4, 5})}, product(true)},
        {"integers", {integers({3, 4}, 0, 9), integers({4, 5}, 0, 9)}, product()},
        {"a product in f64", {real({3, 4}), real({4, 5})}, product_in(DType::kF64)}},
       {},
       {},
       true},
      {"linear",
       {{"with a bias", {real({3, 4}), master({4, 5}), master({5})}, layer(), {{3, 5}}, {0, 1, 2}},
        {"without", {real({3, 4}), master({4, 5})}, layer(), {{3, 5}}, {0, 1}},
        {"a vector", {real({4}), master({4, 5}), master({5})}, layer(), {{5}}, {0, 1, 2}},
        {"more dimensions", {real({2, 3, 4}), master({4, 5}), master({5})}, layer(), {{2, 3, 5}}, {0, 1, 2}},
        {"relu", {real({2, 3, 4}), master({4, 5}), master({5})}, layer(Activation::kRelu), {{2, 3, 5}}, {0, 1, 2}},
        {"gelu", {real({2, 3, 4}), master({4, 5}), master({5})}, layer(Activation::kGelu), {{2, 3, 5}}, {0, 1, 2}},
        {"gelu without a bias", {real({3, 4}), master({4, 5})}, layer(Activation::kGelu), {{3, 5}}, {0, 1}},
        {"extents of 1", {real({1, 1}), master({1, 1}), master({1})}, layer(), {{1, 1}}, {0, 1, 2}},
        {"no rows", {real({0, 4}), master({4, 5}), master({5})}, layer(Activation::kGelu), {{0, 5}}, {0, 1, 2}},
        {"nothing to sum", {real({3, 0}), master({0, 5}), master({5})}, layer(Activation::kRelu), {{3, 5}}, {0, 1, 2}},
        large({"large",
               {real({70, 130}), master({130, 90}), master({90})},
               layer(Activation::kGelu),
               {{70, 90}},
               {0, 1, 2}}),
        large({"a long sum", {real({6, 4200}), master({4200, 5}), master({5})}, layer(), {{6, 5}}, {0, 1, 2}})},
       {{"a weight of other rows", {real({3, 4}), master({5, 4}), master({4})}, layer()},
        {"a weight of rank 3", {real({3, 4}), master({1, 4, 5}), master({5})}, layer()},
        {"a bias of other length", {real({3, 4}), master({4, 5}), master({4})}, layer()},
        {"a scalar", {real({}), master({4, 5})}, layer()}},
       {},
       {},
       true},
  };
}

}  // namespace convoy
