#include "core/ops/index.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

Tensors looked_up(std::span<const Tensor> in) { return {embedding(in[0], in[1])}; }
Tensors added_up(std::span<const Tensor> in) { return {embedding_backward(in[0], in[1], 6)}; }

}  // namespace

std::vector<OpRow> index_rows() {
  return {
      {"embedding",
       {{"a batch", {real({6, 3}), integers({2, 5}, 0, 5)}, looked_up, {{2, 5, 3}}, {0}},
        {"one token", {real({6, 3}), integers({}, 0, 5)}, looked_up, {{3}}, {0}},
        {"no tokens", {real({6, 3}), integers({0}, 0, 5)}, looked_up, {{0, 3}}, {0}},
        {"a table of one row", {real({1, 4}), integers({3}, 0, 0)}, looked_up, {{3, 4}}, {0}},
        {"many", {real({50, 70}), integers({700}, 0, 49)}, looked_up, {{700, 70}}, {0}, 1e-5, false}},
       {{"an id beyond the table", {real({6, 3}), integers({2}, 6, 6)}, looked_up},
        {"a negative id", {real({6, 3}), integers({2}, -1, -1)}, looked_up},
        {"ids that are not integers", {real({6, 3}), real({2})}, looked_up},
        {"a table of one axis", {real({6}), integers({2}, 0, 5)}, looked_up}},
       {},
       {},
       true},
      {"embedding_backward",
       {{"a batch", {integers({4, 2}, 0, 5), real({4, 2, 3})}, added_up, {{6, 3}}, {}},
        {"no tokens", {integers({0}, 0, 5), real({0, 3})}, added_up, {{6, 3}}, {}},
        {"many", {integers({900}, 0, 5), real({900, 90})}, added_up, {{6, 90}}, {}}},
       {{"gradients of another shape", {integers({4}, 0, 5), real({3, 3})}, added_up},
        {"an id beyond the table", {integers({4}, 6, 6), real({4, 3})}, added_up}},
       {},
       {},
       true},
  };
}

}  // namespace convoy
