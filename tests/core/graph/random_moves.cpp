#include "tests/core/graph/random_moves.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "core/graph/recorder.h"
#include "core/ops/concat.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

constexpr DType kFloating[] = {DType::kF32, DType::kBF16, DType::kF64};

Tensor positive(const Tensor& x) { return add_scalar(square(x), 0.25); }

// A sum or product of so many terms, back among the numbers it was made of.
Tensor averaged(Draw& draw, const Tensor& x, std::int64_t terms) {
  return draw.one_in(4) ? x : scale(x, 1.0 / std::sqrt(static_cast<double>(std::max<std::int64_t>(terms, 1))));
}

// 0, -0, 1, -1, 2 or some number, in x's shape.
Tensor number_like(Draw& draw, const Tensor& x) {
  const Tensor one = ones_like(x);
  switch (draw.below(7)) {
    case 0:
      return sub(one, one);
    case 1:
      return neg(sub(one, one));
    case 2:
      return neg(one);
    case 3:
      return add(one, one);
    case 4:
      return scale(one, draw.real());
    default:
      return one;
  }
}

Shape with_one(const Shape& shape, int axis) {
  Shape result;
  for (int i = 0; i < shape.rank(); ++i) {
    if (i == axis) result.append(1);
    result.append(shape[i]);
  }
  return result;
}

// Three times along a new axis.
Tensor tripled(const Tensor& x, int axis) {
  Shape shape = with_one(x.shape(), axis);
  const Tensor unsqueezed = reshape(x, shape);
  shape[axis] = 3;
  return broadcast_to(unsqueezed, shape);
}

bool can_be_tripled(const Shape& shape) {
  return shape.rank() < Shape::kMaxRank && 3 * shape.elements() <= kMostRandomElements;
}

std::vector<std::int64_t> random_axes(Draw& draw, int rank) {
  std::vector<std::int64_t> axes(static_cast<std::size_t>(rank));
  std::iota(axes.begin(), axes.end(), 0);
  for (std::size_t i = axes.size(); i > 1; --i) std::swap(axes[i - 1], axes[draw.below(i)]);
  return axes;
}

Shape permuted(const Shape& shape, std::span<const std::int64_t> axes) {
  Shape result;
  for (const std::int64_t axis : axes) result.append(shape[static_cast<int>(axis)]);
  return result;
}

int random_axis(Draw& draw, const Shape& shape) {
  return static_cast<int>(draw.below(static_cast<std::uint64_t>(shape.rank())));
}

}  // namespace

Tensor random_unary(Draw& draw, const Tensor& x) {
  using Function = Tensor (*)(const Tensor&);
  constexpr Function kAny[] = {neg, exp, log, sqrt, tanh, relu, gelu, silu, square};
  constexpr Function kTame[] = {neg, tanh, gelu, silu};
  if (draw.one_in(10)) return draw.one_of(kAny)(x);
  switch (draw.below(9)) {
    case 0:
      return exp(tanh(x));
    case 1:
      return log(positive(x));
    case 2:
      return sqrt(positive(x));
    case 3:
      return square(tanh(x));
    case 4:
      return relu(add_scalar(x, 0.5));
    case 5:
      return scale(x, draw.real());
    case 6:
      return add_scalar(x, draw.real());
    default:
      return draw.one_of(kTame)(x);
  }
}

Tensor random_binary(Draw& draw, const Tensor& x, const Tensor& y) {
  using Function = Tensor (*)(const Tensor&, const Tensor&);
  constexpr Function kFunctions[] = {add, sub, mul, maximum, add, sub};
  constexpr Function kBackward[] = {gelu_backward, silu_backward, relu_backward};
  const bool with_gradient = Recorder::current().tape_on();
  if (!with_gradient && x.shape() == y.shape() && draw.one_in(3)) return draw.one_of(kBackward)(x, y);
  if (!with_gradient && draw.one_in(8)) return greater_equal(x, y);
  if (draw.one_in(6)) return draw.one_in(4) ? div(x, y) : div(x, positive(y));
  const Function function = draw.one_of(kFunctions);
  return draw.one_in(2) ? function(x, y) : function(y, x);
}

Tensor random_uniform(Draw& draw, const Tensor& x) {
  const Tensor number = number_like(draw, x);
  switch (draw.below(6)) {
    case 0:
      return random_unary(draw, number);
    case 1:
      return random_binary(draw, number, number_like(draw, x));
    case 2:
      return cast(number, draw.one_of(kFloating));
    case 3:
      return random_view(draw, number.shape())(number);
    default:
      return number;
  }
}

Tensor random_identity(Draw& draw, const Tensor& x) {
  switch (draw.below(13)) {
    case 0:
      return neg(neg(x));
    case 1:
      return neg(random_unary(draw, neg(x)));
    case 2:
      return cast(cast(x, DType::kF64), x.dtype());
    case 3: {
      const DType first = draw.one_of(kFloating), second = draw.one_of(kFloating);
      return cast(cast(cast(x, first), second), x.dtype());
    }
    case 4: {
      constexpr double kFactors[] = {1.0, 1.0, -1.0, 2.0};
      return scale(x, draw.one_of(kFactors));
    }
    case 5:
      return can_be_tripled(x.shape()) ? mul(x, tripled(ones_like(x), 0)) : mul(x, ones_like(x));
    case 6: {
      const Tensor number = number_like(draw, x);
      return div(number, positive(x));
    }
    case 7:
      return div(x, draw.one_in(2) ? ones_like(x) : neg(ones_like(x)));
    case 8: {
      if (x.shape().rank() == 0 || x.elements() > kMostRandomElements / 2) return neg(neg(x));
      const int axis = random_axis(draw, x.shape());
      const std::int64_t extent = x.shape()[axis];
      const auto before = static_cast<std::int64_t>(draw.below(2)), from = static_cast<std::int64_t>(draw.below(2));
      return slice(pad(x, axis, before, 0), axis, std::min(from, before), std::min(from, before) + extent);
    }
    default: {
      using Function = Tensor (*)(const Tensor&, const Tensor&);
      constexpr Function kFunctions[] = {add, sub, mul};
      const Tensor number = number_like(draw, x);
      const Function function = draw.one_of(kFunctions);
      return draw.one_in(2) ? function(x, number) : function(number, x);
    }
  }
}

Tensor random_reduction(Draw& draw, const Tensor& x) {
  const Shape& shape = x.shape();
  if (shape.rank() == 0) return sum(x);
  const int axis = random_axis(draw, shape);
  switch (draw.below(6)) {
    case 0:
      return averaged(draw, sum(x), shape.elements());
    case 1:
      return shape[axis] == 0 ? x : max(x, axis, true);
    case 2:
      return sum_to(x, {shape[-1]});
    case 3:
      return mean(x, {axis}, draw.one_in(2));
    case 4: {  // several runs of axes, unless there are fewer
      if (shape.rank() < 3) return mean(x, {0}, true);
      return averaged(draw, sum(x, {0, 2}, draw.one_in(2)), shape[0] * shape[2]);
    }
    default: {
      const auto dtype = draw.one_in(2) ? std::optional<DType>() : compute_dtype(x.dtype());
      return averaged(draw, sum(x, {axis}, true, dtype), shape[axis]);
    }
  }
}

Tensor random_ordered(Draw& draw, const Tensor& x) {
  const Shape& shape = x.shape();
  if (shape.rank() == 0 || shape.elements() == 0) return sum(x);
  switch (draw.below(4)) {
    case 0:
      return scale(softmax(x), static_cast<double>(shape[-1]));
    case 1:
      return max(x, random_axis(draw, shape), true);
    case 2:
      return 2 * shape.elements() > kMostRandomElements ? x : concat({x, x}, random_axis(draw, shape));
    default: {
      const int axis = random_axis(draw, shape);
      return averaged(draw, sum(x, {axis}, true), shape[axis]);
    }
  }
}

Tensor random_product(Draw& draw, const Tensor& x) {
  const Shape& shape = x.shape();
  if (shape.rank() != 2 || shape.elements() == 0 || shape[0] > 100 || shape[1] > 150) return random_ordered(draw, x);
  const bool over_columns = draw.one_in(2);
  const Tensor y = shape[0] == shape[1] && draw.one_in(3) ? transpose(x, 0, 1) : x;
  return averaged(draw, over_columns ? matmul(x, y, false, true) : matmul(x, y, true, false), shape[over_columns]);
}

Move random_view(Draw& draw, const Shape& shape) {
  const int rank = shape.rank();
  if (rank == 0) return [](const Tensor& x) { return broadcast_to(x, {2, 3}); };
  const int axis = random_axis(draw, shape);
  const std::int64_t elements = shape.elements();
  switch (draw.below(7)) {
    case 0:
      return [elements](const Tensor& x) { return reshape(x, {elements}); };
    case 1:
      return [elements](const Tensor& x) {
        return reshape(x, elements % 2 == 0 ? Shape{2, elements / 2} : Shape{1, elements, 1});
      };
    case 2: {
      const std::int64_t extent = shape[axis];
      const auto begin = static_cast<std::int64_t>(draw.below(static_cast<std::uint64_t>(extent / 2 + 1)));
      const std::int64_t end = draw.one_in(2) ? extent : extent - begin / 2;
      return [axis, begin, end](const Tensor& x) { return slice(x, axis, begin, end); };
    }
    case 3:
      if (!can_be_tripled(shape)) return [](const Tensor& x) { return x; };
      return [axis](const Tensor& x) { return tripled(x, axis); };
    case 4:  // there and back, or not quite: in another order, which no strides say
      if (draw.one_in(2))
        return [axes = random_axes(draw, rank)](const Tensor& x) { return reshape(permute(x, axes), x.shape()); };
      return [axis](const Tensor& x) {
        return transpose(transpose(reshape(reshape(x, {x.elements()}), x.shape()), axis, -1), axis, -1);
      };
    default:
      return [axes = random_axes(draw, rank)](const Tensor& x) { return permute(x, axes); };
  }
}

TwoViews random_views(Draw& draw, const Tensor& x) {
  const Shape& shape = x.shape();
  if (shape.rank() == 0) return {x, x};
  const int axis = random_axis(draw, shape);
  const std::int64_t extent = shape[axis];
  switch (draw.below(4)) {
    case 0:  // one beside the other
      if (extent < 2) break;
      return {slice(x, axis, 0, extent - 1), slice(x, axis, 1, extent)};
    case 1:  // a part against the whole
      if (extent < 1) break;
      return {x, slice(x, axis, extent - 1, extent)};
    default: {
      const std::vector<std::int64_t> axes = random_axes(draw, shape.rank());
      for (int i = 0; i < 6; ++i) {
        const std::vector<std::int64_t> others = random_axes(draw, shape.rank());
        if (others != axes && permuted(shape, others) == permuted(shape, axes))
          return {permute(x, axes), permute(x, others)};
      }
    }
  }
  if (draw.one_in(2)) return {x, reshape(permute(x, random_axes(draw, shape.rank())), shape)};
  const int other = random_axis(draw, shape);
  return {x, transpose(transpose(x, axis, other), other, axis)};
}

}  // namespace convoy
