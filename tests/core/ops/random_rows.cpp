#include "core/ops/random.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

Tensors dropped(std::span<const Tensor> in) { return {dropout(in[0], 0.3)}; }

}  // namespace

std::vector<OpRow> random_rows() {
  return {
      {"dropout",
       {{"a matrix", {real({5, 7})}, dropped, {{5, 7}}, {0}},
        {"twice",
         {real({5, 7})},
         [](std::span<const Tensor> in) { return Tensors{dropout(dropout(in[0], 0.5), 0.1)}; },
         {{5, 7}},
         {0}},
        {"nothing", {real({0})}, dropped, {{0}}, {0}},
        {"many", {real({150, 301})}, dropped, {{150, 301}}, {0}, 1e-5, false}},
       {{"integers", {integers({3}, 0, 1)}, dropped},
        {"a probability of 1", {real({3})}, [](std::span<const Tensor> in) { return Tensors{dropout(in[0], 1.0)}; }},
        {"a probability below 0",
         {real({3})},
         [](std::span<const Tensor> in) { return Tensors{dropout(in[0], -0.1)}; }}},
       {},
       {},
       true},
  };
}

}  // namespace convoy
