#include "tests/core/graph/random_graph.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/graph/backward.h"
#include "core/graph/capture.h"
#include "core/ops/concat.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/norm.h"
#include "core/ops/random.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"
#include "core/ops/update.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

constexpr std::int64_t kMostElements = 40000;

class Generator {
 public:
  Generator(CpuDevice& device, std::uint64_t seed) : device_(device), random_(seed * 2 + 1), capture_(device) {
    constexpr DType kFloating[] = {DType::kF32, DType::kF32, DType::kBF16, DType::kF64};
    const std::vector<Shape> bases = {{4, 6},    {2, 3, 4},   {5, 1, 7}, {2500}, {70, 48},
                                      {33, 130}, {9, 2, 300}, {1},       {0, 3}};
    const Shape base = bases[below(bases.size())];
    const DType dtype = kFloating[below(std::size(kFloating))];
    add_input(dtype, base);
    add_input(dtype, base);
    add_input(dtype, last_of(base));
    add_input(kFloating[below(std::size(kFloating))], base);
    add_state(dtype == DType::kBF16 ? DType::kF32 : dtype, base);
    for (const std::int64_t count : {3, 5}) {
      const double values[] = {0.125, 0.5, count == 3 ? 1.0 : 0.25, 0.75, 1.0};
      const Tensor factors =
          Tensor::of<double>(device_, {count}, std::span(values).first(static_cast<std::size_t>(count)));
      inputs_.push_back(factors);
      factors_.push_back(capture_.input("factors", factors.spec()));
    }
  }

  RandomGraph make(int steps) {
    const int forward = steps * 2 / 3;
    std::optional<BlockScope> block;
    for (int i = 0; i < forward; ++i) {
      if (below(5) == 0) block.reset();
      if (!block && below(4) == 0) block.emplace();
      step();
    }
    block.reset();
    if (below(2) == 0) gradients();
    {
      const PhaseScope phase(Phase::kBackward);
      const TapePause pause;
      for (int i = forward; i < steps; ++i) step();
    }
    const PhaseScope phase(Phase::kUpdate);
    const TapePause pause;
    for (std::uint64_t i = below(3); i > 0; --i) update();
    for (int i = 0; i < 3; ++i) hand_out(any());
    return {.graph = capture_.finish(),
            .inputs = std::move(inputs_),
            .states = std::move(states_),
            .key = {.seed = random_(), .step = static_cast<std::int64_t>(1 + below(9)), .shard = 1}};
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  double real() { return static_cast<double>(below(3001)) / 1000.0 - 1.5; }
  static Shape last_of(const Shape& shape) { return {shape[-1]}; }

  Tensor filled(DType dtype, const Shape& shape) {
    const Tensor tensor = Tensor::empty({dtype, shape, &device_});
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      const double value = real();
      if (dtype == DType::kF32) tensor.data<float>()[i] = static_cast<float>(value);
      if (dtype == DType::kF64) tensor.data<double>()[i] = value;
      if (dtype == DType::kBF16) tensor.data<bfloat16>()[i] = static_cast<bfloat16>(value);
    }
    return tensor;
  }
  void add_input(DType dtype, const Shape& shape) {
    inputs_.push_back(filled(dtype, shape));
    leaves_.push_back(capture_.input("x" + std::to_string(inputs_.size()), inputs_.back().spec()));
    values_.push_back(leaves_.back());
  }
  Tensor add_state(DType dtype, const Shape& shape) {
    states_.push_back(filled(dtype, shape));
    states_.back().make_state();
    capture_.state("s" + std::to_string(states_.size()), states_.back());
    values_.push_back(states_.back());
    return states_.back();
  }

  // Recent values more often than old ones: chains get long.
  Tensor any() {
    const std::size_t from = below(3) == 0 ? 0 : values_.size() - std::min<std::size_t>(values_.size(), 6);
    return values_[from + below(values_.size() - from)];
  }
  // A value of the dtype that broadcasts with `x`; x itself where there is none.
  Tensor partner(const Tensor& x) {
    for (int i = 0; i < 12; ++i) {
      const Tensor y = any();
      if (y.dtype() != x.dtype()) continue;
      try {
        if (broadcast(x.shape(), y.shape()).elements() <= kMostElements) return y;
      } catch (const std::exception&) {  // they do not broadcast
      }
    }
    return x;
  }
  void keep(const Tensor& value) { values_.push_back(value); }
  void hand_out(const Tensor& value) { capture_.result("r", value); }

  void step() {
    const Tensor x = any();
    switch (below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return keep(unary(x));
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
        return keep(binary(x, partner(x)));
      case 10:
        return keep(cast(x, std::array{DType::kF32, DType::kBF16, DType::kF64}[below(3)]));
      case 11:
      case 12:
      case 13:
        return keep(view(x));
      case 14:
        return keep(reduced(x));
      case 15:
        return keep(dropout(x, 0.25));
      case 16:
        return keep(changes_nothing(x));
      case 17:
        return twice(x);
      case 18:
        return keep(product(x));
      default:
        if (below(3) == 0) hand_out(x);
        return keep(ones_like(x));
    }
  }

  Tensor unary(const Tensor& x) {
    using Function = Tensor (*)(const Tensor&);
    constexpr Function kFunctions[] = {neg, exp, log, sqrt, tanh, relu, gelu, silu, square};
    const std::uint64_t which = below(std::size(kFunctions) + 2);
    if (which == std::size(kFunctions)) return scale(x, real());
    if (which > std::size(kFunctions)) return add_scalar(x, real());
    return kFunctions[which](x);
  }
  Tensor binary(const Tensor& x, const Tensor& y) {
    using Function = Tensor (*)(const Tensor&, const Tensor&);
    constexpr Function kFunctions[] = {add, sub, mul, div, maximum, add, mul, greater_equal};
    constexpr Function kBackward[] = {gelu_backward, silu_backward, relu_backward};
    if (x.shape() == y.shape() && !Recorder::current().tape_on() && below(3) == 0) return kBackward[below(3)](x, y);
    const Function function = kFunctions[below(Recorder::current().tape_on() ? 7 : 8)];  // the last has no gradient
    return below(2) == 0 ? function(x, y) : function(y, x);
  }
  Tensor view(const Tensor& x) {
    const int rank = x.shape().rank();
    if (rank == 0) return broadcast_to(x, {2, 3});
    const int axis = static_cast<int>(below(static_cast<std::uint64_t>(rank)));
    switch (below(6)) {
      case 0:
        return reshape(x, {x.elements()});
      case 1:
        return reshape(x, x.elements() % 2 == 0 ? Shape{2, x.elements() / 2} : Shape{1, x.elements(), 1});
      case 2: {
        const auto extent = static_cast<std::uint64_t>(x.shape()[axis]);
        const auto begin = static_cast<std::int64_t>(below(extent / 2 + 1));
        return slice(x, axis, begin,
                     static_cast<std::int64_t>(extent) - static_cast<std::int64_t>(below(2)) * begin / 2);
      }
      case 3:
        if (rank >= Shape::kMaxRank || 3 * x.elements() > kMostElements) return x;
        return broadcast_to(reshape(x, with_one(x.shape(), axis)), with_three(x.shape(), axis));
      default:
        return transpose(x, axis, rank - 1);
    }
  }
  static Shape with_one(const Shape& shape, int axis) {
    Shape result;
    for (int i = 0; i < shape.rank(); ++i) {
      if (i == axis) result.append(1);
      result.append(shape[i]);
    }
    return result;
  }
  static Shape with_three(const Shape& shape, int axis) {
    Shape result = with_one(shape, axis);
    result[axis] = 3;
    return result;
  }
  Tensor reduced(const Tensor& x) {
    const int rank = x.shape().rank();
    if (rank == 0) return sum(x);
    const auto axis = static_cast<std::int64_t>(below(static_cast<std::uint64_t>(rank)));
    switch (below(6)) {
      case 0:
        return sum(x);
      case 1:
        return x.shape()[static_cast<int>(axis)] == 0 ? x : max(x, static_cast<int>(axis), true);
      case 2:
        return x.shape()[-1] == 0 ? x : softmax(x);
      case 3:
        return sum_to(x, last_of(x.shape()));
      case 4:
        return mean(x, {axis}, below(2) == 0);
      default:
        return sum(x, {axis}, true, below(2) == 0 ? std::optional<DType>() : compute_dtype(x.dtype()));
    }
  }
  Tensor changes_nothing(const Tensor& x) {
    switch (below(6)) {
      case 0:
        return mul(x, ones_like(x));
      case 1:
        return neg(neg(x));
      case 2:
        return cast(cast(x, DType::kF64), x.dtype());
      case 3:
        return scale(x, 1.0);
      case 4:
        return sub(x, sub(ones_like(x), ones_like(x)));
      default:
        return x.shape().rank() < 2 ? reshape(x, x.shape()) : transpose(transpose(x, 0, -1), -1, 0);
    }
  }
  void twice(const Tensor& x) {
    const double factor = real();
    for (int i = 0; i < 2; ++i) keep(gelu(scale(x, factor)));
  }
  Tensor product(const Tensor& x) {
    if (x.shape().rank() == 0) return x;
    if (x.shape().rank() != 2 || x.elements() == 0 || x.shape()[0] > 100 || x.shape()[1] > 400)
      return 2 * x.elements() > kMostElements ? x : concat({x, x}, -1);
    return below(2) == 0 ? matmul(x, x, false, true) : matmul(x, x, true, false);
  }

  // Of what the last values come to, with respect to the inputs.
  void gradients() {
    const Tensor x = cast(any(), DType::kF32);
    const Tensor loss = sum(mul(x, x));
    hand_out(loss);
    Tensors leaves;
    for (const Tensor& leaf : leaves_) leaves.push_back(leaf);
    backward(loss, leaves, [&](std::size_t, const Tensor& gradient) {
      hand_out(gradient);
      keep(gradient);
    });
  }

  void update() {
    Tensor gradient = any();
    if (gradient.dtype() == DType::kBF16) gradient = cast(gradient, DType::kF32);
    gradient = reshape(gradient, {gradient.elements()});
    const auto state = [&] { return add_state(gradient.dtype(), gradient.shape()); };
    if (below(2) == 0) {
      const Tensor parameter = state(), moment = state();
      sgd_update({.momentum = 0.5, .weight_decay = 0.25}, Tensors{parameter, moment}, gradient, factors_[0]);
    } else {
      const Tensor parameter = state(), m = state(), v = state();
      if (below(2) == 0) keep(neg(parameter));  // as it was
      adamw_update({}, parameter, m, v, gradient, factors_[1]);
    }
    step();
  }

  CpuDevice& device_;
  std::mt19937_64 random_;
  Capture capture_;
  Tensors inputs_, states_;
  Tensors leaves_, factors_;
  Tensors values_;  // symbols, and states
};

}  // namespace

RandomGraph random_graph(CpuDevice& device, std::uint64_t seed, int steps) {
  return Generator(device, seed).make(steps);
}

}  // namespace convoy
