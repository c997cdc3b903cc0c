#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/norm.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

Tensors normed(std::span<const Tensor> in) { return {layer_norm(in[0], in[1], in[2])}; }
Tensors backward_of(std::span<const Tensor> in) { return convoy::apply(make_op("layer_norm_backward"), in); }

Tensors rms_normed(std::span<const Tensor> in) { return {rms_norm(in[0], in[1])}; }
Tensors rms_backward_of(std::span<const Tensor> in) { return convoy::apply(make_op("rms_norm_backward"), in); }

OpCase rms_case(const std::string& what, const Shape& shape, bool numerical) {
  return {what, {real(shape), master({shape[-1]}, 0.5, 2)}, rms_normed, {shape}, {0, 1}, 1e-4, numerical};
}

OpCase rms_backward_case(const std::string& what, const Shape& shape, const Shape& rows) {
  const Shape width{shape[-1]};
  return {
      what, {real(shape), real(shape), master(width, 0.5, 2), master(rows, 1, 2)}, rms_backward_of, {shape, width}, {},
      1e-4};
}

OpCase forward_case(const std::string& what, const Shape& shape, bool numerical) {
  const Shape width{shape[-1]};
  return {what, {real(shape), master(width, 0.5, 2), master(width)}, normed, {shape}, {0, 1, 2}, 1e-4, numerical};
}

OpCase backward_case(const std::string& what, const Shape& shape, const Shape& rows) {
  const Shape width{shape[-1]};
  return {what,        {real(shape), real(shape), master(width, 0.5, 2), master(rows), master(rows, 1, 2)},
          backward_of, {shape, width, width},
          {},          1e-4};
}

}  // namespace

std::vector<OpRow> norm_rows() {
  return {
      {"layer_norm",
       {forward_case("a matrix", {3, 5}, true), forward_case("a batch", {2, 2, 19}, true),
        forward_case("one row", {6}, true), forward_case("no rows", {0, 4}, true),
        forward_case("many rows", {150, 300}, false), forward_case("long rows", {5, 2500}, false)},
       {{"gamma of another width", {real({2, 3}), real({4}), real({3})}, normed},
        {"beta of two axes", {real({2, 3}), real({3}), real({1, 3})}, normed},
        {"rows of nothing", {real({2, 0}), real({0}), real({0})}, normed},
        {"a scalar", {real({}), real({1}), real({1})}, normed}},
       {},
       {},
       true},
      {"layer_norm_backward",
       {backward_case("a matrix", {3, 5}, {3}), backward_case("no rows", {0, 5}, {0}),
        backward_case("many rows", {150, 300}, {150})},
       {{"means of another shape", {real({2, 3}), real({2, 3}), real({3}), real({3}), real({2})}, backward_of}},
       {},
       {},
       true},
      {"rms_norm",
       {rms_case("a matrix", {3, 5}, true), rms_case("a batch", {2, 2, 19}, true), rms_case("one row", {6}, true),
        rms_case("no rows", {0, 4}, true), rms_case("many rows", {150, 300}, false),
        rms_case("long rows", {5, 2500}, false)},
       {{"gamma of another width", {real({2, 3}), real({4})}, rms_normed},
        {"rows of nothing", {real({2, 0}), real({0})}, rms_normed},
        {"a scalar", {real({}), real({1})}, rms_normed}},
       {},
       {},
       true},
      {"rms_norm_backward",
       {rms_backward_case("a matrix", {3, 5}, {3}), rms_backward_case("no rows", {0, 5}, {0}),
        rms_backward_case("many rows", {150, 300}, {150})},
       {{"statistics of another shape", {real({2, 3}), real({2, 3}), real({3}), real({3})}, rms_backward_of}},
       {},
       {},
       true},
  };
}

}  // namespace convoy
