#include <algorithm>

#include "core/ops/update.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

Tensors with(std::span<const Tensor> in, const Tensor& factors) {
  Tensors inputs(in.begin(), in.end());
  inputs.push_back(factors);
  return inputs;
}

Tensor adam_factors(const Tensor& like) {
  return Tensor::of<double>(like.device(), {5}, std::vector<double>{1e-2, 1 - 0.9 * 0.9, 1 - 0.999 * 0.999, 0.5, 1});
}

Tensors stepped(std::span<const Tensor> in) {
  const Tensors state = {copy_of(in[0]), copy_of(in[1]), copy_of(in[2])};
  adamw_update({.weight_decay = 0.1}, state[0], state[1], state[2], in[3], adam_factors(in[0]));
  return state;
}

OpUpdate adamw_step(std::span<const Tensor> in) {
  return {adamw_op({.weight_decay = 0.1}), with(in, adam_factors(in[0]))};
}

Tensors squares(std::span<const Tensor> in) { return {chunk_squares(in[0])}; }

OpCase adamw_case(const std::string& what, std::int64_t n) {
  return {what, {real({n}), real({n}), real({n}, 0, 1), real({n})}, stepped, {{n}, {n}, {n}}, {}};
}

Tensor sgd_factors(const Tensor& like) {
  return Tensor::of<double>(like.device(), {3}, std::vector<double>{1e-2, 0.5, 1});
}

Tensors sgd_plain(std::span<const Tensor> in) {
  const Tensors state = {copy_of(in[0])};
  sgd_update({.weight_decay = 0.1}, state, in[1], sgd_factors(in[0]));
  return state;
}

template <bool kNesterov>
Tensors sgd_momentum(std::span<const Tensor> in) {
  const Tensors state = {copy_of(in[0]), copy_of(in[1])};
  sgd_update({.momentum = 0.9, .nesterov = kNesterov, .weight_decay = 0.1}, state, in[2], sgd_factors(in[0]));
  return state;
}

OpUpdate sgd_step(std::span<const Tensor> in) {
  return {sgd_op({.momentum = in.size() == 3 ? 0.9 : 0.0, .weight_decay = 0.1}), with(in, sgd_factors(in[0]))};
}

// Parameters of n elements each, on the grid of chunks.
LambAttributes lamb_attributes(std::int64_t total, std::int64_t n) {
  LambAttributes attributes;
  attributes.weight_decay = 0.1;
  for (std::int64_t begin = 0; begin < total; begin += (n + kSquareChunk - 1) / kSquareChunk * kSquareChunk) {
    attributes.begins.push_back(begin);
    attributes.ends.push_back(std::min(begin + n, total));
  }
  return attributes;
}

template <std::int64_t kElements>
Tensors lamb_stepped(std::span<const Tensor> in) {
  const Tensors state = {copy_of(in[0]), copy_of(in[1]), copy_of(in[2])};
  lamb_update(lamb_attributes(in[0].elements(), kElements), state[0], state[1], state[2], in[3], adam_factors(in[0]));
  return state;
}

Tensors lamb_off_the_grid(std::span<const Tensor> in) {
  LambAttributes attributes;
  attributes.begins = {0, 1000};
  attributes.ends = {1000, 1500};
  const Tensor factors = Tensor::zeros({DType::kF64, {5}, &in[0].device()});
  lamb_update(attributes, in[0], in[1], in[2], in[3], factors);
  return {in[0]};
}

OpUpdate lamb_step(std::span<const Tensor> in) {
  return {lamb_op(lamb_attributes(in[0].elements(), 1500)), with(in, adam_factors(in[0]))};
}

template <std::int64_t kElements>
OpCase lamb_case(const std::string& what, std::int64_t n) {
  return {what, {real({n}), real({n}), real({n}, 0, 1), real({n})}, lamb_stepped<kElements>, {{n}, {n}, {n}}, {}};
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
       adamw_step},
      {"sgd",
       {{"plain", {real({37}), real({37})}, sgd_plain, {{37}}, {}},
        {"momentum", {real({37}), real({37}), real({37})}, sgd_momentum<false>, {{37}, {37}}, {}},
        {"nesterov", {real({37}), real({37}), real({37})}, sgd_momentum<true>, {{37}, {37}}, {}},
        {"none", {real({0}), real({0})}, sgd_plain, {{0}}, {}},
        {"many", {real({70001}), real({70001}), real({70001})}, sgd_momentum<true>, {{70001}, {70001}}, {}}},
       {{"a buffer of another length", {real({3}), real({4}), real({3})}, sgd_momentum<false>},
        {"two axes", {real({3, 1}), real({3, 1})}, sgd_plain},
        {"integers", {integers({3}, 0, 1), integers({3}, 0, 1)}, sgd_plain}},
       {},
       sgd_step},
      {"lamb",
       {lamb_case<37>("a few", 37), lamb_case<1>("none", 0), lamb_case<30001>("many", 70001),
        lamb_case<5>("small ones", 4 * 1024)},
       {{"moments of another length", {real({3}), real({4}), real({3}), real({3})}, lamb_stepped<3>},
        {"two axes", {real({3, 1}), real({3, 1}), real({3, 1}), real({3, 1})}, lamb_stepped<3>},
        {"a parameter off the grid", {real({1500}), real({1500}), real({1500}), real({1500})}, lamb_off_the_grid}},
       {},
       lamb_step},
      {"chunk_squares",
       {{"one", {real({1024})}, squares, {{1}}, {}, 1e-12},
        {"many", {real({70 * 1024}, -3, 3)}, squares, {{70}}, {}, 1e-12},
        {"none", {real({0})}, squares, {{0}}, {}}},
       {{"a part of a chunk", {real({1025})}, squares}, {"two axes", {real({1, 1024})}, squares}}},
  };
}

}  // namespace convoy
