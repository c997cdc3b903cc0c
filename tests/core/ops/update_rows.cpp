#include "core/ops/update.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

Tensors stepped(std::span<const Tensor> in) {
  const Tensors state = {copy_of(in[0]), copy_of(in[1]), copy_of(in[2])};
  const Tensor factors =
      Tensor::of<double>(in[0].device(), {5}, std::vector<double>{1e-2, 1 - 0.9 * 0.9, 1 - 0.999 * 0.999, 0.5, 1});
  adamw_update({.weight_decay = 0.1}, state[0], state[1], state[2], in[3], factors);
  return state;
}

Specs inferred(std::span<const Spec> in) {
  Specs specs(in.begin(), in.end());
  specs.push_back({DType::kF64, {5}, in[0].device});
  return adamw_op({})->infer(specs);
}

Tensors squares(std::span<const Tensor> in) { return {chunk_squares(in[0])}; }

OpCase adamw_case(const std::string& what, std::int64_t n) {
  return {what, {real({n}), real({n}), real({n}, 0, 1), real({n})}, stepped, {{n}, {n}, {n}}, {}};
}

}  // namespace

std::vector<OpRow> update_rows() {
  return {
      {"adamw",
       {adamw_case("a few", 37), adamw_case("none", 0), adamw_case("many", 70001)},
       {{"moments of another length", {real({3}), real({4}), real({3}), real({3})}, stepped},
        {"two axes", {real({3, 1}), real({3, 1}), real({3, 1}), real({3, 1})}, stepped},
        {"integers", {integers({3}, 0, 1), integers({3}, 0, 1), integers({3}, 0, 1), integers({3}, 0, 1)}, stepped}},
       {},
       inferred},
      {"chunk_squares",
       {{"one", {real({1024})}, squares, {{1}}, {}, 1e-12},
        {"many", {real({70 * 1024}, -3, 3)}, squares, {{70}}, {}, 1e-12},
        {"none", {real({0})}, squares, {{0}}, {}}},
       {{"a part of a chunk", {real({1025})}, squares}, {"two axes", {real({1, 1024})}, squares}}},
  };
}

}  // namespace convoy
