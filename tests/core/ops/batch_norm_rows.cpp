#include "core/ops/batch_norm.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

// x, weight, bias, shift and perhaps a residual.
OpRun training(bool relu) {
  return [relu](std::span<const Tensor> in) {
    return Tensors{batch_norm(in[0], in[1], in[2], in[3], in.size() == 5 ? in[4] : Tensor(), {.relu = relu}).y};
  };
}
Tensors statistics(std::span<const Tensor> in) {
  const BatchNormResult result = batch_norm(in[0], in[1], in[2], in[3], {}, {});
  return {result.sum, result.squares};
}
OpRun inference(bool relu) {
  return [relu](std::span<const Tensor> in) {
    return Tensors{
        batch_norm_inference(in[0], in[1], in[2], in[3], in[4], in.size() == 6 ? in[5] : Tensor(), {.relu = relu})};
  };
}
Tensor always(const Tensor& like) { return Tensor::of<double>(like.device(), {1}, std::vector<double>{1}); }
Tensors updated(std::span<const Tensor> in) {
  const Tensors state = {copy_of(in[0]), copy_of(in[1]), copy_of(in[2])};
  update_running_statistics({}, state[0], state[1], state[2], in[3], in[4], in[5], always(in[0]));
  return state;
}
OpUpdate update(std::span<const Tensor> in) {
  Tensors inputs(in.begin(), in.end());
  inputs.push_back(always(in[0]));
  return {running_statistics_op({}), inputs};
}

std::vector<OpInput> inputs_of(const Shape& x, bool residual) {
  const Shape width{x[-1]};
  std::vector<OpInput> inputs = {real(x, -1, 2), master(width, 0.5, 2), master(width), master(width)};
  if (residual) inputs.push_back(real(x));
  return inputs;
}

OpCase training_case(const std::string& what, const Shape& x, bool relu, bool residual, bool numerical = true) {
  std::vector<std::size_t> differentiable = {0, 1, 2};
  if (residual) differentiable.push_back(4);
  return {what, inputs_of(x, residual), training(relu), {x}, differentiable, 1e-4, numerical};
}

OpCase statistics_case(const std::string& what, const Shape& x) {
  return {what, inputs_of(x, false), statistics, {{x[-1]}, {x[-1]}}, {}, 1e-5};
}

// x, weight, bias, mean, rstd, dy and perhaps y.
OpRun backward_of(bool relu) {
  return [relu](std::span<const Tensor> in) {
    return batch_norm_backward(in[0], in[1], in[2], in[3], in[4], in[5], in.size() == 7 ? in[6] : Tensor(), relu);
  };
}

OpCase backward_case(const std::string& what, const Shape& x, bool relu, bool with_y) {
  const Shape width{x[-1]};
  std::vector<OpInput> inputs = {real(x),       master(width, 0.5, 2), master(width, 0.1, 1),
                                 master(width), master(width, 1, 2),   real(x)};
  std::vector<Shape> outputs = {x, width, width};
  if (with_y) {
    inputs.push_back(real(x));
    outputs.push_back(x);
  }
  return {what, inputs, backward_of(relu), outputs, {}, 1e-4};
}

std::vector<OpInput> inference_inputs(const Shape& x, bool residual) {
  const Shape width{x[-1]};
  std::vector<OpInput> inputs = {real(x), master(width), master(width), master(width), master(width, 0.1, 2)};
  if (residual) inputs.push_back(real(x));
  return inputs;
}

std::vector<OpInput> update_inputs(std::int64_t width, double count) {
  return {real({width}),        real({width}, 0.5, 2), real({1}, 3, 3),
          real({width}, -9, 9), real({width}, 20, 90), real({1}, count, count)};
}

}  // namespace

std::vector<OpRow> batch_norm_rows() {
  std::vector<OpInput> other_residual = inputs_of({2, 3}, false);
  other_residual.push_back(real({3, 3}));
  std::vector<OpInput> wide_shift = inputs_of({2, 3}, false);
  wide_shift[3] = master({4});
  return {
      {"batch_norm",
       {training_case("plain", {7, 5}, false, false), training_case("images", {2, 3, 2, 19}, false, false),
        training_case("with relu", {2, 3, 2, 5}, true, false),
        training_case("with a residual", {2, 3, 2, 5}, false, true),
        training_case("with a residual and relu", {2, 3, 2, 5}, true, true),
        training_case("no rows", {0, 4}, true, true), training_case("many rows", {2, 17, 19, 70}, true, true, false),
        training_case("many rows of few channels", {900, 3}, true, false, false),
        statistics_case("statistics", {2, 3, 2, 5}), statistics_case("statistics of many", {700, 65}),
        statistics_case("statistics of none", {0, 5})},
       {{"weight of another width", {real({2, 3}), real({4}), real({3}), real({3})}, training(false)},
        {"a shift of another width", wide_shift, training(false)},
        {"a residual of another shape", other_residual, training(false)},
        {"an integer bias", {real({2, 3}), real({3}), integers({3}, 0, 1), real({3})}, training(false)},
        {"a scalar", {real({}), real({1}), real({1}), real({1})}, training(false)}},
       {},
       {},
       true},
      {"batch_norm_backward",
       {backward_case("plain", {2, 3, 5}, false, false), backward_case("with relu", {2, 3, 5}, true, false),
        backward_case("with relu and a residual", {2, 3, 5}, true, true),
        backward_case("many rows", {611, 70}, true, true), backward_case("no rows", {0, 3}, true, true)},
       {{"dy of another shape",
         {real({2, 3}), real({3}), real({3}), real({3}), real({3}), real({3, 3})},
         backward_of(true)}},
       {},
       {},
       true},
      {"batch_norm_inference",
       {{"plain", inference_inputs({2, 3, 5}, false), inference(false), {{2, 3, 5}}, {}},
        {"with relu and a residual", inference_inputs({150, 150, 3}, true), inference(true), {{150, 150, 3}}, {}},
        {"no rows", inference_inputs({0, 5}, true), inference(true), {{0, 5}}, {}}},
       {{"a variance of another width", {real({2, 3}), real({3}), real({3}), real({3}), real({4})}, inference(false)}},
       {},
       {},
       true},
      {"running_statistics",
       {{"a few", update_inputs(5, 12), updated, {{5}, {5}, {1}}, {}},
        {"of one row", update_inputs(3, 1), updated, {{3}, {3}, {1}}, {}},
        {"of none", update_inputs(3, 0), updated, {{3}, {3}, {1}}, {}},
        {"no channels", update_inputs(0, 12), updated, {{0}, {0}, {1}}, {}}},
       {{"sums of another width", {real({3}), real({3}), real({1}), real({4}), real({3}), real({1})}, updated},
        {"two counts", {real({3}), real({3}), real({1}), real({3}), real({3}), real({2})}, updated}},
       {},
       update},
  };
}

}  // namespace convoy
