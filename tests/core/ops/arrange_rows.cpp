#include "core/ops/concat.h"
#include "core/ops/constant.h"
#include "core/ops/cumsum.h"
#include "core/ops/elementwise.h"
#include "core/ops/gather.h"
#include "core/ops/scatter.h"
#include "core/ops/top_k.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

OpRun joined(int axis) {
  return [=](std::span<const Tensor> in) { return Tensors{concat(in, axis)}; };
}

OpRun parted(int axis, std::vector<std::int64_t> extents) {
  return [=](std::span<const Tensor> in) { return split(in[0], axis, extents); };
}

OpRun picked(int axis) {
  return [=](std::span<const Tensor> in) { return Tensors{gather(in[0], axis, in[1])}; };
}

OpRun scattered(int axis, std::int64_t extent) {
  return [=](std::span<const Tensor> in) { return Tensors{scatter_add(in[0], in[1], axis, extent)}; };
}

OpRun written(int axis) {
  return [=](std::span<const Tensor> in) { return Tensors{scatter(in[0], axis, in[1], in[2])}; };
}

OpRun written_back(int axis) {
  return [=](std::span<const Tensor> in) {
    const ScatterGradients found = scatter_backward(axis, in[0], in[1]);
    return Tensors{found.x, found.values};
  };
}

OpRun largest(std::int64_t k, int axis = -1) {
  return [=](std::span<const Tensor> in) {
    const TopK found = top_k(in[0], k, axis);
    return Tensors{found.values, found.indices};
  };
}

// Of the dtype under test, times the input.
OpRun with_numbers(const Shape& shape, std::vector<double> values) {
  return [=](std::span<const Tensor> in) { return Tensors{mul(in[0], constant(in[0].dtype(), shape, values))}; };
}

OpRun summed(int axis, bool exclusive = false, bool reverse = false) {
  return [=](std::span<const Tensor> in) { return Tensors{cumsum(in[0], axis, {exclusive, reverse})}; };
}

// Only some of the pieces reach the loss.
Tensors first_and_last(std::span<const Tensor> in) {
  const Tensors pieces = split(in[0], 1, {1, 2, 3});
  return {pieces[0], pieces[2]};
}

}  // namespace

std::vector<OpRow> arrange_rows() {
  return {
      {"constant_values",
       {{"a row", {real({3, 4})}, with_numbers({4}, {1, -0.5, 3.25, 0}), {{3, 4}}, {0}},
        {"a scalar", {real({5})}, with_numbers({}, {0.1}), {{5}}, {0}, 1e-5, true, 0x1p-7}},
       {{"too few values", {real({4})}, with_numbers({4}, {1, 2, 3})},
        {"too many values", {real({1})}, with_numbers({}, {1, 2})},
        {"integers", {integers({4}, 0, 1)}, with_numbers({4}, {1, 2, 3, 4})}},
       {},
       {},
       /*takes_bf16=*/true},
      {"concat",
       {{"rows", {real({2, 3}), real({1, 3}), real({4, 3})}, joined(0), {{7, 3}}, {0, 1, 2}},
        {"in the middle", {real({2, 3, 2}), real({2, 1, 2})}, joined(1), {{2, 4, 2}}, {0, 1}},
        {"columns", {real({3, 2}), real({3, 5})}, joined(-1), {{3, 7}}, {0, 1}},
        {"one alone", {real({2, 3})}, joined(1), {{2, 3}}, {0}},
        {"with nothing", {real({2, 3}), real({2, 0})}, joined(1), {{2, 3}}, {0, 1}},
        {"nothing", {real({0, 3}), real({0, 2})}, joined(1), {{0, 5}}, {0, 1}},
        {"integers", {integers({3}, 0, 9), integers({2}, 0, 9)}, joined(0), {{5}}, {}},
        {"many", {real({300, 70}), real({300, 41})}, joined(1), {{300, 111}}, {0, 1}, 1e-5, false}},
       {{"another extent", {real({2, 3}), real({3, 3})}, joined(1)},
        {"another rank", {real({2, 3}), real({2})}, joined(0)},
        {"another dtype", {real({2}), integers({2}, 0, 1)}, joined(0)},
        {"no such axis", {real({2}), real({2})}, joined(1)}},
       {},
       {},
       true},
      {"split",
       {{"rows", {real({7, 3})}, parted(0, {2, 1, 4}), {{2, 3}, {1, 3}, {4, 3}}, {0}},
        {"columns", {real({3, 7})}, parted(-1, {2, 5}), {{3, 2}, {3, 5}}, {0}},
        {"in the middle", {real({2, 4, 2})}, parted(1, {3, 0, 1}), {{2, 3, 2}, {2, 0, 2}, {2, 1, 2}}, {0}},
        {"some unused", {real({2, 6})}, first_and_last, {{2, 1}, {2, 3}}, {0}},
        {"nothing", {real({0, 3})}, parted(1, {1, 2}), {{0, 1}, {0, 2}}, {0}},
        {"many", {real({300, 111})}, parted(1, {70, 41}), {{300, 70}, {300, 41}}, {0}, 1e-5, false}},
       {{"extents too small", {real({2, 3})}, parted(1, {1, 1})},
        {"a negative extent", {real({2, 3})}, parted(1, {4, -1})},
        {"no pieces", {real({2, 0})}, parted(1, {})},
        {"no such axis", {real({2})}, parted(1, {2})}},
       {},
       {},
       true},
      {"gather",
       {{"columns", {real({3, 6}), integers({3, 4}, 0, 5)}, picked(1), {{3, 4}}, {0}},
        {"rows", {real({6, 3}), integers({4, 3}, 0, 5)}, picked(0), {{4, 3}}, {0}},
        {"in the middle", {real({2, 3, 4}), integers({2, 5, 4}, 0, 2)}, picked(-2), {{2, 5, 4}}, {0}},
        {"none", {real({3, 6}), integers({3, 0}, 0, 5)}, picked(1), {{3, 0}}, {0}},
        {"no rows", {real({0, 6}), integers({0, 2}, 0, 5)}, picked(1), {{0, 2}}, {0}},
        {"many", {real({300, 90}), integers({300, 70}, 0, 89)}, picked(1), {{300, 70}}, {0}, 1e-5, false},
        {"many side by side", {real({90, 700}), integers({70, 700}, 0, 89)}, picked(0), {{70, 700}}, {0}, 1e-5, false},
        {"whole rows", {real({9, 300}), integers({20, 300}, 4, 4)}, picked(0), {{20, 300}}, {0}, 1e-5, false}},
       {{"an index beyond the axis", {real({3, 6}), integers({3, 2}, 6, 6)}, picked(1)},
        {"a negative index", {real({3, 6}), integers({3, 2}, -1, -1)}, picked(1)},
        {"an index of other extents", {real({3, 6}), integers({2, 6}, 0, 1)}, picked(1)},
        {"an index of another rank", {real({3, 6}), integers({3}, 0, 1)}, picked(1)},
        {"an index that is no integer", {real({3, 6}), real({3, 2})}, picked(1)}},
       {},
       {},
       true},
      {"scatter_add",
       {{"columns", {integers({3, 4}, 0, 5), real({3, 4})}, scattered(1, 6), {{3, 6}}, {1}},
        {"rows", {integers({4, 3}, 0, 5), real({4, 3})}, scattered(0, 6), {{6, 3}}, {1}},
        {"in the middle", {integers({2, 5, 4}, 0, 2), real({2, 5, 4})}, scattered(1, 3), {{2, 3, 4}}, {1}},
        {"all in one place", {integers({40}, 0, 0), real({40})}, scattered(0, 1), {{1}}, {1}},
        {"none", {integers({3, 0}, 0, 5), real({3, 0})}, scattered(1, 2), {{3, 2}}, {1}},
        {"many side by side",
         {integers({70, 700}, 0, 9), real({70, 700})},
         scattered(0, 10),
         {{10, 700}},
         {1},
         1e-5,
         false},
        {"whole rows", {integers({20, 300}, 4, 4), real({20, 300})}, scattered(0, 9), {{9, 300}}, {1}, 1e-5, false}},
       {{"an index beyond the extent", {integers({3}, 4, 4), real({3})}, scattered(0, 4)},
        {"values of another shape", {integers({3}, 0, 1), real({4})}, scattered(0, 4)},
        {"a negative extent", {integers({0}, 0, 0), real({0})}, scattered(0, -1)}},
       {},
       {},
       true},
      {"scatter",
       {{"columns", {real({3, 6}), integers({3, 4}, 0, 5), real({3, 4})}, written(1), {{3, 6}}, {0, 2}},
        {"rows", {real({6, 3}), integers({4, 3}, 0, 5), real({4, 3})}, written(0), {{6, 3}}, {0, 2}},
        {"in the middle",
         {real({2, 3, 4}), integers({2, 5, 4}, 0, 2), real({2, 5, 4})},
         written(-2),
         {{2, 3, 4}},
         {0, 2}},
        {"all in one place", {real({2}), integers({40}, 1, 1), real({40})}, written(0), {{2}}, {0, 2}},
        {"none", {real({3, 6}), integers({3, 0}, 0, 5), real({3, 0})}, written(1), {{3, 6}}, {0}},
        {"no rows", {real({0, 6}), integers({0, 2}, 0, 5), real({0, 2})}, written(1), {{0, 6}}, {0, 2}},
        {"many",
         {real({300, 90}), integers({300, 70}, 0, 89), real({300, 70})},
         written(1),
         {{300, 90}},
         {0, 2},
         1e-5,
         false},
        {"many side by side",
         {real({90, 700}), integers({70, 700}, 0, 89), real({70, 700})},
         written(0),
         {{90, 700}},
         {0, 2},
         1e-5,
         false},
        {"whole rows",
         {real({9, 300}), integers({20, 300}, 4, 4), real({20, 300})},
         written(0),
         {{9, 300}},
         {0, 2},
         1e-5,
         false}},
       {{"an index beyond the axis", {real({3, 6}), integers({3, 2}, 6, 6), real({3, 2})}, written(1)},
        {"a negative index", {real({3, 6}), integers({3, 2}, -1, -1), real({3, 2})}, written(1)},
        {"an index of other extents", {real({3, 6}), integers({2, 6}, 0, 1), real({2, 6})}, written(1)},
        {"values of another shape", {real({3, 6}), integers({3, 2}, 0, 1), real({3, 1})}, written(1)},
        {"values that are integers", {real({3, 6}), integers({3, 2}, 0, 1), integers({3, 2}, 0, 1)}, written(1)},
        {"an index that is no integer", {real({3, 6}), real({3, 2}), real({3, 2})}, written(1)}},
       {},
       {},
       true},
      {"scatter_backward",
       {{"columns", {integers({3, 4}, 0, 5), real({3, 6})}, written_back(1), {{3, 6}, {3, 4}}, {}},
        {"in the middle", {integers({2, 5, 4}, 0, 2), real({2, 3, 4})}, written_back(-2), {{2, 3, 4}, {2, 5, 4}}, {}},
        {"none", {integers({3, 0}, 0, 5), real({3, 6})}, written_back(1), {{3, 6}, {3, 0}}, {}},
        {"many", {integers({70, 700}, 0, 89), real({90, 700})}, written_back(0), {{90, 700}, {70, 700}}, {}}},
       {{"an index beyond the axis", {integers({3, 2}, 6, 6), real({3, 6})}, written_back(1)},
        {"a gradient of other extents", {integers({3, 2}, 0, 1), real({2, 6})}, written_back(1)}},
       {},
       {},
       true},
      {"top_k",
       {{"columns", {real({3, 9})}, largest(4), {{3, 4}, {3, 4}}, {0}},
        {"all", {real({2, 2, 5})}, largest(5), {{2, 2, 5}, {2, 2, 5}}, {0}},
        {"along rows", {real({7, 3})}, largest(2, 0), {{2, 3}, {2, 3}}, {0}},
        {"none", {real({3, 4})}, largest(0), {{3, 0}, {3, 0}}, {0}},
        {"no rows", {real({0, 4})}, largest(2), {{0, 2}, {0, 2}}, {0}},
        {"many", {real({200, 300})}, largest(7), {{200, 7}, {200, 7}}, {0}, 1e-5, false},
        {"many of them", {real({60, 300})}, largest(150), {{60, 150}, {60, 150}}, {0}, 1e-5, false}},
       {{"more than there are", {real({3, 4})}, largest(5)},
        {"fewer than none", {real({3, 4})}, largest(-1)},
        {"a scalar", {real({})}, largest(1)},
        {"integers", {integers({4}, 0, 9)}, largest(1)}},
       {},
       {},
       true},
      {"cumsum",
       {{"columns", {real({3, 7})}, summed(1), {{3, 7}}, {0}},
        {"rows", {real({5, 3})}, summed(0), {{5, 3}}, {0}},
        {"exclusive", {real({2, 4, 3})}, summed(1, true), {{2, 4, 3}}, {0}},
        {"reverse", {real({2, 6})}, summed(-1, false, true), {{2, 6}}, {0}},
        {"exclusive and reverse", {real({6})}, summed(0, true, true), {{6}}, {0}},
        {"exclusive and reverse rows", {real({5, 19})}, summed(0, true, true), {{5, 19}}, {0}},
        {"nothing", {real({0, 3})}, summed(1), {{0, 3}}, {0}},
        {"none along the axis", {real({3, 0})}, summed(1), {{3, 0}}, {0}},
        {"many", {real({130, 300})}, summed(0), {{130, 300}}, {0}, 1e-5, false},
        {"long rows", {real({40, 2000})}, summed(1), {{40, 2000}}, {0}, 1e-5, false}},
       {{"no such axis", {real({2})}, summed(1)}, {"integers", {integers({2}, 0, 3)}, summed(0)}},
       {},
       {},
       true},
  };
}

}  // namespace convoy
