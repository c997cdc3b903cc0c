#include "core/ops/view.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

OpRun one(const std::function<Tensor(const Tensor&)>& function) {
  return [function](std::span<const Tensor> in) { return Tensors{function(in[0])}; };
}

OpRun to(const Shape& shape) {
  return one([shape](const Tensor& x) { return reshape(x, shape); });
}

OpRun as(const Shape& shape) {
  return one([shape](const Tensor& x) { return broadcast_to(x, shape); });
}

OpRun order(const std::vector<std::int64_t>& axes) {
  return one([axes](const Tensor& x) { return permute(x, axes); });
}

OpRun cut(int axis, std::int64_t begin, std::int64_t end) {
  return one([=](const Tensor& x) { return slice(x, axis, begin, end); });
}

OpRun padded(int axis, std::int64_t before, std::int64_t after) {
  return one([=](const Tensor& x) { return pad(x, axis, before, after); });
}

}  // namespace

std::vector<OpRow> view_rows() {
  std::vector<OpRow> rows = {
      {"reshape",
       {{"splitting", {real({4, 6})}, to({2, 2, 3, 2}), {{2, 2, 3, 2}}, {0}},
        {"merging", {real({2, 3, 4})}, to({6, 4}), {{6, 4}}, {0}},
        {"across", {real({4, 6})}, to({3, 8}), {{3, 8}}, {0}},
        {"a free extent", {real({4, 6})}, to({-1, 3}), {{8, 3}}, {0}},
        {"to a scalar", {real({1, 1})}, to({}), {{}}, {0}},
        {"extents of 1", {real({3, 1, 2})}, to({1, 3, 2, 1}), {{1, 3, 2, 1}}, {0}},
        {"a view that must be copied",
         {real({3, 4})},
         one([](const Tensor& x) {
           return reshape(transpose(x, 0, 1), {2, 6});
         }),
         {{2, 6}},
         {0}},
        {"a broadcast",
         {real({3, 1})},
         one([](const Tensor& x) {
           return reshape(broadcast_to(x, {3, 4}), {12});
         }),
         {{12}},
         {0}},
        {"nothing", {real({0, 4})}, to({2, 0, 3}), {{2, 0, 3}}, {0}}},
       {{"another number of elements", {real({4, 6})}, to({5, 5})},
        {"a free extent that does not divide", {real({4, 6})}, to({-1, 5})},
        {"two free extents", {real({4, 6})}, to({-1, -1})},
        {"a negative extent", {real({4, 6})}, to({-2, -12})}}},
      {"permute",
       {{"three axes", {real({2, 3, 4})}, order({2, 0, 1}), {{4, 2, 3}}, {0}},
        {"counted from the end", {real({2, 3, 4})}, order({0, -1, 1}), {{2, 4, 3}}, {0}},
        {"a transpose", {real({2, 3, 4})}, one([](const Tensor& x) { return transpose(x, -1, 0); }), {{4, 3, 2}}, {0}},
        {"twice",
         {real({2, 3})},
         one([](const Tensor& x) { return transpose(transpose(x, 0, 1), 0, 1); }),
         {{2, 3}},
         {0}},
        {"a scalar", {real({})}, order({}), {{}}, {0}},
        {"nothing", {real({0, 2})}, order({1, 0}), {{2, 0}}, {0}}},
       {{"an axis twice", {real({2, 3})}, order({0, 0})},
        {"an axis too few", {real({2, 3})}, order({0})},
        {"no such axis", {real({2, 3})}, order({0, 2})}}},
      {"slice",
       {{"rows", {real({4, 3})}, cut(0, 1, 3), {{2, 3}}, {0}},
        {"columns", {real({4, 5})}, cut(-1, 2, 5), {{4, 3}}, {0}},
        {"of a slice",
         {real({4, 5})},
         one([](const Tensor& x) { return slice(slice(x, 1, 1, 4), 1, 1, 2); }),
         {{4, 1}},
         {0}},
        {"none of it", {real({4, 5})}, cut(0, 2, 2), {{0, 5}}, {0}}},
       {{"beyond the end", {real({4, 5})}, cut(0, 2, 5)},
        {"backwards", {real({4, 5})}, cut(0, 3, 2)},
        {"no such axis", {real({4, 5})}, cut(2, 0, 1)}}},
      {"broadcast_to",
       {{"rows", {real({3})}, as({2, 3}), {{2, 3}}, {0}},
        {"columns", {real({3, 1})}, as({3, 4}), {{3, 4}}, {0}},
        {"a scalar", {real({})}, as({2, 2}), {{2, 2}}, {0}},
        {"to nothing", {real({1, 3})}, as({0, 3}), {{0, 3}}, {0}}},
       {{"another extent", {real({3})}, as({2, 4})}, {"fewer axes", {real({2, 3})}, as({3})}}},
      {"pad",
       {{"rows", {real({2, 3})}, padded(0, 1, 2), {{5, 3}}, {0}},
        {"columns", {real({2, 3, 2})}, padded(1, 2, 0), {{2, 5, 2}}, {0}},
        {"by nothing", {real({2, 3})}, padded(-1, 0, 0), {{2, 3}}, {0}},
        {"nothing", {real({0, 3})}, padded(0, 1, 1), {{2, 3}}, {0}},
        {"integers", {integers({3}, 0, 9)}, padded(0, 1, 1), {{5}}, {}}},
       {{"by less than nothing", {real({2})}, padded(0, -1, 0)}, {"no such axis", {real({2})}, padded(1, 1, 1)}}},
  };
  for (OpRow& row : rows) row.takes_bf16 = true;
  return rows;
}

}  // namespace convoy
