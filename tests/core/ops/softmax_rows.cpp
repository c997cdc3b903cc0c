#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/constant.h"
#include "core/ops/softmax.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

Tensors normal(std::span<const Tensor> in) { return {softmax(in[0])}; }
Tensors softmax_backward_of(std::span<const Tensor> in) { return convoy::apply(make_op("softmax_backward"), in); }
Tensors loss(std::span<const Tensor> in) {
  const Loss result = cross_entropy(in[0], in[1]);
  return {result.sum, result.count};
}
Tensors loss_backward_of(std::span<const Tensor> in) {
  // The loss sum's own gradient is an f64 scalar in any precision.
  const Tensor inputs[] = {in[0], in[1], in[2], constant(DType::kF64, {}, std::vector<double>{1.5})};
  return convoy::apply(make_op("cross_entropy_backward"), inputs);
}
Tensors correct(std::span<const Tensor> in) { return {count_correct(in[0], in[1])}; }

OpCase loss_case(const std::string& what, const Shape& logits, const Shape& rows, bool numerical = true) {
  return {what, {real(logits, -4, 4), integers(rows, -1, logits[-1] - 1)}, loss, {{}, {}}, {0}, 1e-5, numerical};
}

}  // namespace

std::vector<OpRow> softmax_rows() {
  return {
      {"softmax",
       {{"a matrix", {real({3, 7}, -4, 4)}, normal, {{3, 7}}, {0}},
        {"one class", {real({3, 1})}, normal, {{3, 1}}, {0}},
        {"one row", {real({5})}, normal, {{5}}, {0}},
        {"no rows", {real({0, 5})}, normal, {{0, 5}}, {0}},
        {"many", {real({80, 1500}, -4, 4)}, normal, {{80, 1500}}, {0}, 1e-5, false}},
       {{"a scalar", {real({})}, normal}, {"no classes", {real({2, 0})}, normal}},
       {},
       {},
       true},
      {"softmax_backward",
       {{"a matrix", {real({3, 7}, 0, 1), real({3, 7})}, softmax_backward_of, {{3, 7}}, {}},
        {"many", {real({80, 1500}, 0, 0.01), real({80, 1500})}, softmax_backward_of, {{80, 1500}}, {}}},
       {{"different shapes", {real({3, 7}), real({3, 1})}, softmax_backward_of}},
       {},
       {},
       true},
      {"cross_entropy",
       {loss_case("a matrix", {5, 7}, {5}), loss_case("a batch", {2, 3, 4}, {2, 3}), loss_case("one row", {6}, {}),
        loss_case("one class", {3, 1}, {3}), loss_case("no rows", {0, 3}, {0}),
        loss_case("many", {70, 2500}, {70}, false)},
       {{"a target too large", {real({2, 3}), integers({2}, 3, 3)}, loss},
        {"a target below -1", {real({2, 3}), integers({2}, -2, -2)}, loss},
        {"targets of another shape", {real({2, 3}), integers({3}, 0, 2)}, loss},
        {"targets that are not integers", {real({2, 3}), real({2})}, loss},
        {"no classes", {real({2, 0}), integers({2}, -1, -1)}, loss}},
       {},
       {},
       true},
      {"cross_entropy_backward",
       {{"a matrix", {real({5, 7}), integers({5}, -1, 6), master({5}, 2, 3)}, loss_backward_of, {{5, 7}}, {}},
        {"many", {real({70, 900}), integers({70}, -1, 899), master({70}, 6, 7)}, loss_backward_of, {{70, 900}}, {}}},
       {{"log sums of another shape", {real({2, 3}), integers({2}, 0, 2), real({3})}, loss_backward_of}},
       {},
       {},
       true},
      {"count_correct",
       {{"a matrix", {real({20, 3}), integers({20}, -1, 2)}, correct, {{}}, {}},
        {"no rows", {real({0, 3}), integers({0}, 0, 2)}, correct, {{}}, {}}},
       {{"a target too large", {real({2, 3}), integers({2}, 3, 3)}, correct},
        {"targets of another shape", {real({2, 3}), integers({3}, 0, 2)}, correct}},
       {},
       {},
       true},
  };
}

}  // namespace convoy
