#include "core/ops/conv.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

struct Problem {
  std::string what;
  Shape x, weight, y;
  Conv2dAttributes attributes;
};

// More images than one piece holds, images that oneDNN's fast kernels take, and every attribute.
std::vector<Problem> problems() {
  return {
      {"three by three", {2, 5, 4, 3}, {4, 3, 3, 3}, {2, 5, 4, 4}, {.padding = {1, 1}}},
      {"one by one", {2, 3, 3, 2}, {5, 2, 1, 1}, {2, 3, 3, 5}, {}},
      {"strided", {1, 6, 7, 2}, {3, 2, 3, 3}, {1, 3, 4, 3}, {.stride = {2, 2}, .padding = {1, 1}}},
      {"strided past the edge", {1, 6, 6, 2}, {3, 2, 1, 1}, {1, 3, 3, 3}, {.stride = {2, 2}}},
      {"unequal sides", {2, 5, 6, 2}, {2, 2, 3, 2}, {2, 2, 5, 2}, {.stride = {3, 1}, .padding = {1, 0}}},
      {"dilated", {1, 7, 6, 2}, {2, 2, 3, 3}, {1, 5, 4, 2}, {.padding = {1, 1}, .dilation = {2, 2}}},
      {"padded beyond the kernel", {1, 3, 3, 2}, {2, 2, 2, 2}, {1, 6, 6, 2}, {.padding = {2, 2}}},
      {"groups", {2, 4, 4, 4}, {6, 2, 3, 3}, {2, 4, 4, 6}, {.padding = {1, 1}, .groups = 2}},
      {"a channel each", {1, 4, 5, 3}, {3, 1, 3, 3}, {1, 4, 5, 3}, {.padding = {1, 1}, .groups = 3}},
      {"no images", {0, 4, 4, 3}, {4, 3, 3, 3}, {0, 2, 2, 4}, {}},
  };
}
std::vector<Problem> large_problems() {
  return {
      {"a stage of a residual network", {6, 14, 14, 32}, {32, 32, 3, 3}, {6, 14, 14, 32}, {.padding = {1, 1}}},
      {"a stage's first", {4, 15, 15, 32}, {48, 32, 3, 3}, {4, 8, 8, 48}, {.stride = {2, 2}, .padding = {1, 1}}},
      {"few pixels of many channels", {5, 4, 4, 128}, {130, 128, 3, 3}, {5, 4, 4, 130}, {.padding = {1, 1}}},
      {"down to few pixels", {3, 7, 7, 128}, {128, 128, 3, 3}, {3, 4, 4, 128}, {.stride = {2, 2}, .padding = {1, 1}}},
      {"few pixels, dilated",
       {2, 5, 4, 128},
       {128, 128, 3, 2},
       {2, 3, 4, 128},
       {.padding = {1, 1}, .dilation = {2, 2}}},
      {"a stem", {3, 33, 33, 3}, {16, 3, 7, 7}, {3, 17, 17, 16}, {.stride = {2, 2}, .padding = {3, 3}}},
  };
}

OpRun forward_of(const Conv2dAttributes& attributes) {
  return [attributes](std::span<const Tensor> in) {
    return Tensors{conv2d(in[0], in[1], in.size() == 3 ? in[2] : Tensor(), attributes)};
  };
}
OpRun backward_data_of(const Problem& p) {
  return [p](std::span<const Tensor> in) {
    return Tensors{conv2d_backward_data(in[0], in[1], {p.x[1], p.x[2]}, p.attributes)};
  };
}
OpRun backward_weights_of(const Problem& p) {
  return [p](std::span<const Tensor> in) {
    return Tensors{conv2d_backward_weights(in[0], in[1], {p.weight[2], p.weight[3]}, p.attributes)};
  };
}

OpCase forward_case(const Problem& p, bool numerical) {
  return {p.what, {real(p.x), master(p.weight)}, forward_of(p.attributes), {p.y}, {0, 1}, 1e-4, numerical};
}

OpCase with_bias(const Problem& p) {
  return {p.what + " with a bias",
          {real(p.x), master(p.weight), master({p.weight[0]})},
          forward_of(p.attributes),
          {p.y},
          {0, 1, 2},
          1e-4};
}

OpRow forward_row() {
  OpRow row{"conv2d", {}, {}};
  for (const Problem& p : problems()) row.cases.push_back(forward_case(p, true));
  for (const Problem& p : large_problems()) row.cases.push_back(forward_case(p, false));
  row.cases.push_back(with_bias(problems()[0]));
  row.cases.push_back(with_bias(problems()[7]));
  const auto refuse = [&](const std::string& what, const Shape& x, const Shape& weight, const Conv2dAttributes& a) {
    row.refusals.push_back({what, {real(x), master(weight)}, forward_of(a)});
  };
  refuse("other channels", {1, 4, 4, 3}, {2, 4, 3, 3}, {});
  refuse("one image alone", {4, 4, 3}, {2, 3, 3, 3}, {});
  refuse("a kernel larger than the image", {1, 4, 4, 3}, {2, 3, 5, 3}, {});
  refuse("a dilated kernel larger than the image", {1, 4, 4, 3}, {2, 3, 3, 3}, {.dilation = {1, 2}});
  refuse("groups that do not divide", {1, 4, 4, 3}, {2, 1, 3, 3}, {.groups = 2});
  refuse("no stride", {1, 4, 4, 3}, {2, 3, 3, 3}, {.stride = {1, 0}});
  refuse("negative padding", {1, 4, 4, 3}, {2, 3, 3, 3}, {.padding = {-1, 0}});
  row.refusals.push_back(
      {"a bias too long", {real({1, 4, 4, 3}), master({2, 3, 3, 3}), master({3})}, forward_of(Conv2dAttributes{})});
  return row;
}

OpRow backward_data_row() {
  OpRow row{"conv2d_backward_data", {}, {}};
  for (const auto& list : {problems(), large_problems()}) {
    for (const Problem& p : list)
      row.cases.push_back({p.what, {real(p.y), master(p.weight)}, backward_data_of(p), {p.x}, {}, 1e-4});
  }
  row.refusals.push_back(
      {"dy of another size", {real({2, 4, 4, 4}), master({4, 3, 3, 3})}, backward_data_of(problems()[0])});
  return row;
}

OpRow backward_weights_row() {
  OpRow row{"conv2d_backward_weights", {}, {}};
  for (const auto& list : {problems(), large_problems()}) {
    for (const Problem& p : list)
      row.cases.push_back({p.what, {real(p.x), real(p.y)}, backward_weights_of(p), {p.weight}, {}, 1e-4});
  }
  row.refusals.push_back(
      {"dy of other images", {real({2, 5, 4, 3}), real({1, 5, 4, 4})}, backward_weights_of(problems()[0])});
  return row;
}

}  // namespace

std::vector<OpRow> conv_rows() {
  std::vector<OpRow> rows = {forward_row(), backward_data_row(), backward_weights_row()};
  for (OpRow& row : rows) row.takes_bf16 = true;
  return rows;
}

}  // namespace convoy
