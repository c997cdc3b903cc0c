#include "tests/core/graph/random_graph.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/graph/backward.h"
#include "core/graph/capture.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/norm.h"
#include "core/ops/random.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"
#include "core/ops/swiglu.h"
#include "core/ops/update.h"
#include "core/ops/view.h"
#include "tests/core/graph/random_moves.h"

namespace convoy {
namespace {

constexpr DType kFloating[] = {DType::kF32, DType::kF32, DType::kBF16, DType::kF64};

class Generator {
 public:
  Generator(CpuDevice& device, std::uint64_t seed) : device_(device), draw_(seed * 2 + 1), capture_(device) {
    const Shape base = random_base();
    const DType dtype = draw_.one_of(kFloating);
    add_input(dtype, base);
    add_input(dtype, base);
    add_input(dtype, {base[-1]});
    add_input(draw_.one_of(kFloating), base);
    keep(add_state(compute_dtype(dtype), base));
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
      if (draw_.one_in(5)) block.reset();
      if (!block && draw_.one_in(3)) block.emplace();
      step();
    }
    block.reset();
    if (!draw_.one_in(3)) gradients();
    {
      const PhaseScope phase(Phase::kBackward);
      const TapePause pause;
      for (int i = forward; i < steps; ++i) step();
    }
    const PhaseScope phase(Phase::kUpdate);
    const TapePause pause;
    for (std::uint64_t i = draw_.below(3); i > 0; --i) update();
    hand_out(any());
    for (const Kept& kept : values_) {
      if (!kept.is_read && !draw_.one_in(4)) hand_out(kept.value);  // the others are dead
    }
    return {.graph = capture_.finish(),
            .inputs = std::move(inputs_),
            .states = std::move(states_),
            .key = {.seed = draw_.word(), .step = static_cast<std::int64_t>(1 + draw_.below(9)), .shard = 1}};
  }

 private:
  struct Kept {
    Tensor value;
    bool is_read = false;
  };
  // Something done to a value, to be done again.
  struct Past {
    Draw draw;
    std::uint64_t kind;
    Tensor x;
  };

  // Equal extents, so that a view that sees the wrong elements has the right shape; one tile of the kernels and
  // several; now and then nothing at all.
  Shape random_base() {
    constexpr std::array kUsual = {std::array{4, 6, 0},   std::array{2, 3, 4}, std::array{5, 1, 7},
                                   std::array{6, 6, 0},   std::array{4, 3, 3}, std::array{5, 5, 5},
                                   std::array{12, 12, 0}, std::array{8, 0, 0}};
    const std::vector<Shape> large = {{2500}, {70, 48}, {33, 130}, {9, 2, 300}, {64, 64}};
    const std::vector<Shape> small = {{1}, {0, 3}};
    if (draw_.one_in(25)) return small[draw_.below(small.size())];
    if (draw_.one_in(4)) return large[draw_.below(large.size())];
    Shape shape;
    for (const int extent : kUsual[draw_.below(kUsual.size())]) {
      if (extent > 0) shape.append(extent);
    }
    return shape;
  }

  // Numbers that identities are about are among them.
  Tensor filled(DType dtype, const Shape& shape, double factor) {
    constexpr double kSpecial[] = {0.0, -0.0, 1.0, -1.0};
    const Tensor tensor = Tensor::empty({dtype, shape, &device_});
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      const double value = draw_.one_in(20) ? draw_.one_of(kSpecial) : draw_.real() * factor;
      if (dtype == DType::kF32) tensor.data<float>()[i] = static_cast<float>(value);
      if (dtype == DType::kF64) tensor.data<double>()[i] = value;
      if (dtype == DType::kBF16) tensor.data<bfloat16>()[i] = static_cast<bfloat16>(value);
    }
    return tensor;
  }
  Tensor declare(const Tensor& tensor) {
    inputs_.push_back(tensor);
    return capture_.input("x" + std::to_string(inputs_.size()), tensor.spec());
  }
  // With respect to which gradients are taken.
  Tensor add_leaf(DType dtype, const Shape& shape, double factor = 1.0) {
    leaves_.push_back(declare(filled(dtype, shape, factor)));
    return leaves_.back();
  }
  void add_input(DType dtype, const Shape& shape) { keep(add_leaf(dtype, shape)); }
  Tensor add_state(DType dtype, const Shape& shape) {
    states_.push_back(filled(dtype, shape, 1.0));
    states_.back().make_state();
    capture_.state("s" + std::to_string(states_.size()), states_.back());
    return states_.back();
  }

  // Recent values more often than old ones: chains get long.
  const Tensor& any() {
    const std::size_t from = draw_.one_in(3) ? 0 : values_.size() - std::min<std::size_t>(values_.size(), 6);
    Kept& kept = values_[from + draw_.below(values_.size() - from)];
    kept.is_read = true;
    return kept.value;
  }
  // A value of the dtype that broadcasts with `x`; x itself where there is none.
  Tensor partner(const Tensor& x, bool of_its_shape = false) {
    for (int i = 0; i < 12; ++i) {
      const Tensor y = values_[draw_.below(values_.size())].value;
      if (y.dtype() != x.dtype() || (of_its_shape && y.shape() != x.shape())) continue;
      try {
        if (broadcast(x.shape(), y.shape()).elements() <= kMostRandomElements) return y;
      } catch (const std::exception&) {  // they do not broadcast
      }
    }
    return x;
  }
  void keep(const Tensor& value) { values_.push_back({value}); }
  void hand_out(const Tensor& value) { capture_.result("r", value); }

  void step() {
    const Tensor x = any();
    switch (draw_.below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return keep(random_binary(draw_, x, partner(x)));
      case 4:
        return keep(cast(x, draw_.one_of(kFloating)));
      case 5:
        return keep(dropout(x, 0.25));
      case 6:
        return views(x);
      case 7:
        return of_two_values(x);
      case 8:
      case 9:
        return layer(x);
      case 10:
        return again();
      case 11:
        if (draw_.one_in(4)) hand_out(x);
        return twice(x);
      default:
        return alone(x, draw_.below(16));
    }
  }

  void alone(const Tensor& x, std::uint64_t kind) {
    past_.push_back({draw_, kind, x});
    keep(applied(draw_, kind, x));
  }
  static Tensor applied(Draw& draw, std::uint64_t kind, const Tensor& x) {
    switch (kind) {
      case 0:
        return random_uniform(draw, x);
      case 1:
      case 2:
      case 3:
        return random_identity(draw, x);
      case 4:
      case 5:
      case 6:
        return random_view(draw, x.shape())(x);
      case 7:
        return random_ordered(draw, x);
      case 8:
        return random_product(draw, x);
      case 9:
        return random_reduction(draw, x);
      default:
        return random_unary(draw, x);
    }
  }
  // Something that was done before, maybe in another phase.
  void again() {
    if (past_.empty()) return;
    Past past = past_[draw_.below(past_.size())];
    keep(applied(past.draw, past.kind, past.x));
  }
  // Twice the same, or nearly so.
  void twice(const Tensor& x) {
    const double factor = draw_.real();
    keep(gelu(scale(x, factor)));
    keep(gelu(scale(x, draw_.one_in(2) ? factor : draw_.real())));
    const Tensor y = partner(x);
    keep(sub(x, y));
    keep(draw_.one_in(2) ? sub(y, x) : sub(x, y));
  }
  // Views of one value that see other elements of it, or the same in another order.
  void views(const Tensor& x) {
    const TwoViews views = random_views(draw_, x);
    if (draw_.one_in(2)) return keep(random_binary(draw_, views.a, views.b));
    for (int i = 0; i < 2; ++i) {
      keep(random_ordered(draw_, views.a));
      keep(random_ordered(draw_, views.b));
    }
  }
  // The same view of two values.
  void of_two_values(const Tensor& x) {
    const Tensor y = partner(x, true);
    const Move view = random_view(draw_, x.shape());
    const Tensor a = view(x), b = view(y);
    keep(random_binary(draw_, a, b));
    if (draw_.one_in(2)) keep(a);
  }

  // Parameters that layers share.
  const Tensor& parameter(const std::string& name, DType dtype, const Shape& shape) {
    const auto [found, is_new] = parameters_.try_emplace(name + std::string(name_of(dtype)) + shape.to_string());
    if (is_new) {
      const double factor = shape.rank() == 2 ? 1.0 / std::sqrt(static_cast<double>(shape[0])) : 1.0;
      found->second = add_leaf(dtype, shape, factor);
    }
    return found->second;
  }
  // As models have them: x + w·f(w·norm(x)).
  void layer(const Tensor& x) {
    const std::int64_t width = x.shape().rank() < 2 ? 0 : x.shape()[-1];
    if (width < 2 || width > 64 || x.elements() == 0) return alone(x, 9);
    const DType dtype = compute_dtype(x.dtype());
    const Tensor gain = parameter("gain", dtype, {width}), bias = parameter("bias", dtype, {width});
    const Tensor in = parameter("in", dtype, {width, width}), out = parameter("out", dtype, {width, width});
    const Tensor normal = draw_.one_in(2) ? layer_norm(x, gain, bias) : rms_norm(x, gain);
    Tensor hidden;
    switch (draw_.below(3)) {
      case 0:
        hidden = swiglu(linear(normal, in, bias), linear(normal, out, {}));
        break;
      case 1:
        hidden = linear(normal, in, bias, Activation::kGelu);
        break;
      default:
        hidden = linear(normal, in, {}, Activation::kRelu);
    }
    keep(add(x, linear(hidden, out, bias)));
    if (Recorder::current().tape_on()) layered_ = values_.back().value;
  }

  // A scalar made of recent values, of layers above all.
  Tensor loss() {
    const Tensor x = layered_.defined() && !draw_.one_in(4) ? layered_ : any();
    const bool has_rows = x.shape().rank() > 1 && x.shape()[-1] > 1;
    if (has_rows && draw_.one_in(2)) return cross_entropy(x, targets_for(x.shape())).sum;
    const Tensor y = cast(x, DType::kF32), z = cast(any(), DType::kF32);
    return add(sum(mul(y, y)), sum(z));
  }
  Tensor targets_for(const Shape& shape) {
    Shape rows;
    for (int i = 0; i + 1 < shape.rank(); ++i) rows.append(shape[i]);
    std::vector<std::int32_t> values;
    for (std::int64_t i = 0; i < rows.elements(); ++i)
      values.push_back(static_cast<std::int32_t>(draw_.below(static_cast<std::uint64_t>(shape[-1]) + 1)) - 1);
    return declare(Tensor::of<std::int32_t>(device_, rows, values));
  }
  void gradients() {
    const Tensor end = loss();
    hand_out(end);
    backward(end, leaves_, [&](std::size_t, const Tensor& gradient) {
      hand_out(gradient);
      keep(gradient);
    });
  }

  void update() {
    Tensor gradient = any();
    if (gradient.dtype() == DType::kBF16) gradient = cast(gradient, DType::kF32);
    gradient = reshape(gradient, {gradient.elements()});
    const auto state = [&] {
      keep(add_state(gradient.dtype(), gradient.shape()));
      return states_.back();
    };
    if (draw_.one_in(2)) {
      const Tensor parameter = state(), moment = state();
      sgd_update({.momentum = 0.5, .weight_decay = 0.25}, Tensors{parameter, moment}, gradient, factors_[0]);
    } else {
      const Tensor parameter = state(), m = state(), v = state();
      if (draw_.one_in(2)) keep(neg(parameter));  // as it was
      adamw_update({}, parameter, m, v, gradient, factors_[1]);
    }
    step();
  }

  CpuDevice& device_;
  Draw draw_;
  Capture capture_;
  Tensors inputs_, states_;
  Tensors leaves_, factors_;
  std::map<std::string, Tensor> parameters_;
  Tensor layered_;            // what the last layer of the forward pass made, if there was one
  std::vector<Kept> values_;  // symbols, and states
  std::vector<Past> past_;
};

}  // namespace

RandomGraph random_graph(CpuDevice& device, std::uint64_t seed, int steps) {
  return Generator(device, seed).make(steps);
}

}  // namespace convoy
