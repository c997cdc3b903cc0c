#include "core/ops/pool.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

struct Problem {
  std::string what;
  Shape x, y;
  Pool2dAttributes attributes;
  bool numerical = true;
};

std::vector<Problem> problems() {
  return {
      {"halves", {2, 4, 6, 3}, {2, 2, 3, 3}, {}},
      {"overlapping", {2, 7, 6, 5}, {2, 4, 3, 5}, {.kernel = {3, 3}, .padding = {1, 1}}},
      {"unequal sides", {1, 5, 8, 2}, {1, 2, 8, 2}, {.kernel = {2, 3}, .stride = {2, 1}, .padding = {0, 1}}},
      {"gaps between kernels", {1, 8, 8, 1}, {1, 3, 3, 1}, {.stride = {3, 3}}},
      {"past the edge", {1, 6, 7, 4}, {1, 2, 2, 4}, {.kernel = {3, 3}, .stride = {3, 3}}},
      {"the whole image", {3, 4, 5, 2}, {3, 1, 1, 2}, {.kernel = {4, 5}}},
      {"no images", {0, 4, 4, 3}, {0, 2, 2, 3}, {}},
      {"more channels than are summed at once", {1, 4, 5, 70}, {1, 2, 3, 70}, {.kernel = {3, 3}, .padding = {1, 1}}},
      {"a stem", {3, 40, 41, 37}, {3, 20, 21, 37}, {.kernel = {3, 3}, .padding = {1, 1}}, false},
  };
}

OpRun max_of(const Pool2dAttributes& attributes) {
  return [attributes](std::span<const Tensor> in) { return Tensors{max_pool2d(in[0], attributes)}; };
}
OpRun avg_of(const Pool2dAttributes& attributes) {
  return [attributes](std::span<const Tensor> in) { return Tensors{avg_pool2d(in[0], attributes)}; };
}
OpRun max_backward_of(const Problem& p) {
  return [p](std::span<const Tensor> in) {
    return Tensors{max_pool2d_backward(in[0], in[1], {p.x[1], p.x[2]}, p.attributes)};
  };
}
OpRun avg_backward_of(const Problem& p) {
  return [p](std::span<const Tensor> in) {
    return Tensors{avg_pool2d_backward(in[0], {p.x[1], p.x[2]}, p.attributes)};
  };
}

// The same place of the kernel for every element: 0x00 or 0x01 in all four bytes.
OpInput places_of(const Problem& p, std::int64_t place) {
  return integers({p.y[0], p.y[1], p.y[2], (p.y[3] + 3) / 4}, place * 0x01010101, place * 0x01010101);
}

std::vector<OpRefusal> refusals_of(OpRun (*run)(const Pool2dAttributes&)) {
  return {{"one image alone", {real({4, 4, 3})}, run({})},
          {"an image smaller than the kernel", {real({1, 1, 4, 3})}, run({})},
          {"integers", {integers({1, 4, 4, 3}, 0, 3)}, run({})},
          {"no stride",
           {real({1, 4, 4, 3})},
           [run](auto in) {
             return run({.stride = {0, 1}})(in);
           }},
          {"more padding than kernel",
           {real({1, 4, 4, 3})},
           [run](auto in) {
             return run({.padding = {2, 0}})(in);
           }},
          {"a kernel of too many places", {real({1, 20, 20, 3})}, [run](auto in) {
             return run({.kernel = {16, 16}})(in);
           }}};
}

}  // namespace

std::vector<OpRow> pool_rows() {
  OpRow max{"max_pool2d", {}, refusals_of(max_of)};
  OpRow max_backward{"max_pool2d_backward", {}, {}};
  OpRow avg{"avg_pool2d", {}, refusals_of(avg_of)};
  OpRow avg_backward{"avg_pool2d_backward", {}, {}};
  for (const Problem& p : problems()) {
    max.cases.push_back({p.what, {real(p.x)}, max_of(p.attributes), {p.y}, {0}, 1e-6, p.numerical});
    avg.cases.push_back({p.what, {real(p.x)}, avg_of(p.attributes), {p.y}, {0}, 1e-6, p.numerical});
    for (const std::int64_t place : {0, 1}) {
      max_backward.cases.push_back({p.what + ", place " + std::to_string(place),
                                    {places_of(p, place), real(p.y)},
                                    max_backward_of(p),
                                    {p.x},
                                    {},
                                    1e-6});
    }
    avg_backward.cases.push_back({p.what, {real(p.y)}, avg_backward_of(p), {p.x}, {}, 1e-6});
  }
  max_backward.refusals = {
      {"dy of another size", {integers({2, 2, 3, 1}, 0, 0), real({2, 3, 3, 3})}, max_backward_of(problems()[0])},
      {"places of another size", {integers({2, 2, 3, 3}, 0, 0), real({2, 2, 3, 3})}, max_backward_of(problems()[0])}};
  avg_backward.refusals = {{"dy of another size", {real({2, 3, 3, 3})}, avg_backward_of(problems()[0])}};
  for (OpRow* row : {&max, &max_backward, &avg, &avg_backward}) row->takes_bf16 = true;
  return {max, max_backward, avg, avg_backward};
}

}  // namespace convoy
