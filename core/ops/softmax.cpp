#include "core/ops/softmax.h"

#include "core/ops/per_type.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/softmax.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

#include <cmath>
#include <type_traits>

#ifndef CONVOY_CORE_OPS_SOFTMAX_ARGUMENTS
#define CONVOY_CORE_OPS_SOFTMAX_ARGUMENTS
namespace convoy {
namespace {

// Each with the same of rows [begin, end) alone.
template <typename T>
struct SoftmaxForward {
  const T* x;
  T* y;
  std::int64_t rows, width;

  SoftmaxForward part(std::int64_t begin, std::int64_t end) const {
    return {x + begin * width, y + begin * width, end - begin, width};
  }
};

template <typename T>
struct SoftmaxBackward {
  const T *y, *dy;
  T* dx;
  std::int64_t rows, width;

  SoftmaxBackward part(std::int64_t begin, std::int64_t end) const {
    const std::int64_t first = begin * width;
    return {y + first, dy + first, dx + first, end - begin, width};
  }
};

// losses[row] is 0 for a row that is left out.
template <typename T>
struct CrossEntropyForward {
  const T* logits;
  const std::int32_t* targets;
  Compute<T>* log_sums;
  double* losses;
  std::int64_t rows, width;

  CrossEntropyForward part(std::int64_t begin, std::int64_t end) const {
    return {logits + begin * width, targets + begin, log_sums + begin, losses + begin, end - begin, width};
  }
};

template <typename T>
struct CrossEntropyBackward {
  const T* logits;
  const std::int32_t* targets;
  const Compute<T>* log_sums;
  const double* gradient;  // of the loss sum
  T* dlogits;
  std::int64_t rows, width;

  CrossEntropyBackward part(std::int64_t begin, std::int64_t end) const {
    const std::int64_t first = begin * width;
    return {logits + first, targets + begin, log_sums + begin, gradient, dlogits + first, end - begin, width};
  }
};

// Targets of -1 are never largest.
template <typename T>
struct CountLargest {
  const T* x;
  const std::int32_t* targets;
  std::int64_t rows, width;
};

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

// The largest of n elements, or the lowest finite number: so a row of -infinity alone shifts without becoming NaN.
template <typename T>
Compute<T> largest(const T* x, std::int64_t n) {
  constexpr auto kLowest = std::numeric_limits<Compute<T>>::lowest();
  const Lanes<T> d;
  const Whole<Compute<T>> access;
  hn::Vec<Lanes<T>> best[Partials<T>::kVectors];
  for (auto& vector : best) vector = hn::Set(d, kLowest);
  std::int64_t i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes) {
    for (std::int64_t k = 0; k < Partials<T>::kVectors; ++k)
      best[k] = hn::Max(best[k], access.load(x + i + k * lanes<T>()));
  }
  alignas(64) Compute<T> values[kSumLanes];
  for (std::int64_t k = 0; k < Partials<T>::kVectors; ++k) hn::Store(best[k], d, values + k * lanes<T>());
  for (std::int64_t half = kSumLanes / 2; half > 0; half /= 2) {
    for (std::int64_t k = 0; k < half; ++k) values[k] = std::max(values[k], values[k + half]);
  }
  for (; i < n; ++i) values[0] = std::max(values[0], static_cast<Compute<T>>(x[i]));
  return values[0];
}

template <typename T>
void softmax_forward(const SoftmaxForward<T>& a) {
  constexpr bool kRounds = !std::is_same_v<T, Compute<T>>;
  const Lanes<T> d;
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* x = a.x + row * a.width;
    T* y = a.y + row * a.width;
    const auto high = hn::Set(d, largest(x, a.width));
    const auto power_at = [&](auto access, std::int64_t i)
                              HWY_ATTR { return exp_of<T>(hn::Sub(access.load(x + i), high)); };
    const double sum = sum_terms<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR {
      const auto power = power_at(access, i);
      if constexpr (!kRounds) access.store(power, y + i);
      return access.only(power);
    });
    const auto factor = hn::Set(d, static_cast<Compute<T>>(1.0 / sum));
    // Where y would round the powers they are made again.
    for_vectors<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR {
      if constexpr (kRounds) {
        access.store(hn::Mul(power_at(access, i), factor), y + i);
      } else {
        access.store(hn::Mul(access.load(y + i), factor), y + i);
      }
    });
  }
}

// dx = y·(dy - sum of dy·y).
template <typename T>
void softmax_backward(const SoftmaxBackward<T>& a) {
  const Lanes<T> d;
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* y = a.y + row * a.width;
    const T* dy = a.dy + row * a.width;
    T* dx = a.dx + row * a.width;
    const double sum = sum_terms<T>(a.width, [&](auto access, std::int64_t i)
                                                 HWY_ATTR { return hn::Mul(access.load(y + i), access.load(dy + i)); });
    const auto sums = hn::Set(d, static_cast<Compute<T>>(sum));
    for_vectors<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR {
      access.store(hn::Mul(access.load(y + i), hn::Sub(access.load(dy + i), sums)), dx + i);
    });
  }
}

// A row is read once: each block raises the running maximum first, and the sum so far is scaled to it.
template <typename T>
void cross_entropy_forward(const CrossEntropyForward<T>& a) {
  const Lanes<T> d;
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* x = a.logits + row * a.width;
    auto high = std::numeric_limits<Compute<T>>::lowest();
    double sum = 0;
    for (std::int64_t begin = 0; begin < a.width; begin += kSumBlock) {
      const std::int64_t n = std::min(kSumBlock, a.width - begin);
      const Compute<T> block_high = largest(x + begin, n);
      if (block_high > high) {
        sum *= std::exp(static_cast<double>(high) - static_cast<double>(block_high));
        high = block_high;
      }
      const auto highs = hn::Set(d, high);
      sum += sum_terms<T>(n, [&](auto access, std::int64_t i) HWY_ATTR {
        return access.only(exp_of<T>(hn::Sub(access.load(x + begin + i), highs)));
      });
    }
    const double log_sum = static_cast<double>(high) + std::log(sum);
    a.log_sums[row] = static_cast<Compute<T>>(log_sum);
    a.losses[row] = a.targets[row] < 0 ? 0.0 : log_sum - static_cast<double>(x[a.targets[row]]);
  }
}

template <typename T>
void cross_entropy_backward(const CrossEntropyBackward<T>& a) {
  const Lanes<T> d;
  const auto gradients = hn::Set(d, static_cast<Compute<T>>(*a.gradient));
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* x = a.logits + row * a.width;
    T* dx = a.dlogits + row * a.width;
    const std::int32_t target = a.targets[row];
    if (target < 0) {
      std::fill_n(dx, a.width, static_cast<T>(0));
      continue;
    }
    const auto log_sums = hn::Set(d, a.log_sums[row]);
    const auto scaled_at = [&](auto access, std::int64_t i) HWY_ATTR {
      return hn::Mul(exp_of<T>(hn::Sub(access.load(x + i), log_sums)), gradients);
    };
    // Before dx is written, which may lie where x does. Not from dx, which may be rounded.
    const Part<Compute<T>> one(1);
    const auto at_target = hn::Sub(scaled_at(one, target), gradients);
    for_vectors<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR { access.store(scaled_at(access, i), dx + i); });
    one.store(at_target, dx + target);
  }
}

// Whether target is the first place of a row's largest element, as std::max_element finds it: NaN is no larger than
// anything, nor anything than a NaN in front.
template <typename T>
bool is_largest(const T* x, std::int64_t n, std::int64_t target) {
  const Lanes<T> d;
  const auto value = static_cast<Compute<T>>(x[target]);
  if (target > 0 && (std::isnan(value) || std::isnan(static_cast<Compute<T>>(x[0])))) return false;
  const auto values = hn::Set(d, value);
  const auto none = [&](const T* from, std::int64_t count, const auto& beats) HWY_ATTR {
    std::int64_t i = 0;
    for (; i + lanes<T>() <= count; i += lanes<T>()) {
      if (!hn::AllFalse(d, beats(Whole<Compute<T>>().load(from + i)))) return false;
    }
    if (i == count) return true;
    const Part<Compute<T>> rest(count - i);
    return hn::AllFalse(d, hn::And(rest.mask, beats(rest.load(from + i))));
  };
  return none(x, target, [values](auto other) HWY_ATTR { return hn::Ge(other, values); }) &&
         none(x + target + 1, n - target - 1, [values](auto other) HWY_ATTR { return hn::Gt(other, values); });
}

template <typename T>
std::int64_t count_largest(const CountLargest<T>& a) {
  std::int64_t count = 0;
  for (std::int64_t row = 0; row < a.rows; ++row)
    count += a.targets[row] >= 0 && is_largest(a.x + row * a.width, a.width, a.targets[row]) ? 1 : 0;
  return count;
}

CONVOY_FOR_EACH_TYPE(softmax_forward, SoftmaxForward);
CONVOY_FOR_EACH_TYPE(softmax_backward, SoftmaxBackward);
CONVOY_FOR_EACH_TYPE(cross_entropy_forward, CrossEntropyForward);
CONVOY_FOR_EACH_TYPE(cross_entropy_backward, CrossEntropyBackward);
CONVOY_FOR_EACH_TYPE(count_largest, CountLargest);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"
#include "core/ops/rows.h"

namespace convoy {
namespace {

CONVOY_RUN_KERNEL(softmax_forward, SoftmaxForward);
CONVOY_RUN_KERNEL(softmax_backward, SoftmaxBackward);
CONVOY_RUN_KERNEL(cross_entropy_forward, CrossEntropyForward);
CONVOY_RUN_KERNEL(cross_entropy_backward, CrossEntropyBackward);
CONVOY_RUN_KERNEL(count_largest, CountLargest);

bool has_rows(const Spec& spec) { return spec.shape.rank() > 0 && spec.shape[-1] > 0; }

class SoftmaxBackwardOp final : public Op {
 public:
  std::string_view name() const override { return "softmax_backward"; }
  Traits traits() const override { return {.differentiable = false}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    check_floating(name(), in);
    if (!has_rows(in[0]) || in[0].shape != in[1].shape) refuse(name(), in, "y and dy of one shape [..., V], V ≥ 1");
    return {in[0]};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      const Shape& shape = args.inputs[0].shape();
      return prepared_rows(args, SoftmaxBackward<T>{args.inputs[0].data<T>(), args.inputs[1].data<T>(),
                                                    args.outputs[0].data<T>(), rows_of(shape), shape[-1]});
    });
  }
};

class Softmax final : public Op {
 public:
  std::string_view name() const override { return "softmax"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0, .gradient_reads_outputs = 1}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    if (!has_rows(in[0])) refuse(name(), in, "[..., V], V ≥ 1");
    return {in[0]};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {apply_one(shared_op<SoftmaxBackwardOp>(), {args.outputs[0], args.gradients[0]})};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      const Shape& shape = args.inputs[0].shape();
      return prepared_rows(
          args, SoftmaxForward<T>{args.inputs[0].data<T>(), args.outputs[0].data<T>(), rows_of(shape), shape[-1]});
    });
  }
};

void check_rows(std::string_view op, std::span<const Spec> in) {
  if (!is_floating(in[0].dtype) || !has_rows(in[0]) || in[1].dtype != DType::kI32 ||
      in[1].shape != without_last(in[0].shape))
    refuse(op, in, "logits f32, f64 or bf16 [..., V] with V ≥ 1, targets i32 [...]");
}

// Of a kernel's rows.
template <typename All>
void check_targets(std::string_view op, const All& all) {
  for (std::int64_t row = 0; row < all.rows; ++row) {
    if (all.targets[row] < -1 || all.targets[row] >= all.width)
      fail(ErrorCode::kInvalidArgument, "{}: target {} of row {}; expected -1 or one of {} classes", op,
           all.targets[row], row, all.width);
  }
}

// (logits, targets, log sums, the loss sum's gradient) → dlogits.
class CrossEntropyBackwardOp final : public Op {
 public:
  std::string_view name() const override { return "cross_entropy_backward"; }
  Traits traits() const override { return {.differentiable = false, .overwrites = 0b1}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 4);
    check_rows(name(), in);
    if (in[2].dtype != compute_dtype(in[0].dtype) || in[2].shape != in[1].shape || in[3].dtype != DType::kF64 ||
        in[3].shape != Shape{})
      refuse(name(), in, "logits [..., V], targets [...], log sums [...], an f64 scalar");
    return {in[0]};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      const CrossEntropyBackward<T> all{args.inputs[0].data<T>(),          args.inputs[1].data<std::int32_t>(),
                                        args.inputs[2].data<Compute<T>>(), args.inputs[3].data<double>(),
                                        args.outputs[0].data<T>(),         args.inputs[1].elements(),
                                        args.inputs[0].shape()[-1]};
      return prepared([all, threads = threads_of(args)] {
        check_targets("cross_entropy_backward", all);
        run_rows(threads, all);
      });
    });
  }
};

// (logits, targets) → loss sum, row count, log Σ exp of each row.
class CrossEntropy final : public Op {
 public:
  std::string_view name() const override { return "cross_entropy"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0b11, .gradient_reads_outputs = 0b100}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    check_rows(name(), in);
    const Spec scalar{DType::kF64, {}, in[0].device};
    return {scalar, scalar, {compute_dtype(in[0].dtype), in[1].shape, in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    if (!args.gradients[0].defined()) return Tensors(2);
    return {apply_one(shared_op<CrossEntropyBackwardOp>(),
                      {args.inputs[0], args.inputs[1], args.outputs[2], args.gradients[0]}),
            Tensor()};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.inputs[0].dtype(), [&]<typename T>(T) {
      const std::int64_t rows = args.inputs[1].elements();
      const CrossEntropyForward<T> all{args.inputs[0].data<T>(),
                                       args.inputs[1].data<std::int32_t>(),
                                       args.outputs[2].data<Compute<T>>(),
                                       args.scratch.take<double>(rows),
                                       rows,
                                       args.inputs[0].shape()[-1]};
      return prepared([all, loss = args.outputs[0].data<double>(), count = args.outputs[1].data<double>(),
                       threads = threads_of(args)] {
        check_targets("cross_entropy", all);
        run_rows(threads, all);
        double sum = 0;
        std::int64_t counted = 0;
        for (std::int64_t row = 0; row < all.rows; ++row) {
          if (all.targets[row] < 0) continue;
          sum += all.losses[row];
          ++counted;
        }
        *loss = sum;
        *count = static_cast<double>(counted);
      });
    });
  }
};

class CountCorrect final : public Op {
 public:
  std::string_view name() const override { return "count_correct"; }
  Traits traits() const override { return {.differentiable = false}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    check_rows(name(), in);
    return {{DType::kF64, {}, in[0].device}};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.inputs[0].dtype(), [&]<typename T>(T) {
      const CountLargest<T> all{args.inputs[0].data<T>(), args.inputs[1].data<std::int32_t>(),
                                args.inputs[1].elements(), args.inputs[0].shape()[-1]};
      return prepared([all, count = args.outputs[0].data<double>()] {
        check_targets("count_correct", all);
        *count = static_cast<double>(run(all));
      });
    });
  }
};

const RegisterOp kRegistered[] = {
    RegisterOp("softmax", shared_op_of<Softmax>),
    RegisterOp("softmax_backward", shared_op_of<SoftmaxBackwardOp>),
    RegisterOp("cross_entropy", shared_op_of<CrossEntropy>),
    RegisterOp("cross_entropy_backward", shared_op_of<CrossEntropyBackwardOp>),
    RegisterOp("count_correct", shared_op_of<CountCorrect>),
};

}  // namespace

Tensor softmax(const Tensor& x) { return apply_one(shared_op<Softmax>(), {x}); }

Loss cross_entropy(const Tensor& logits, const Tensor& targets) {
  const Tensor inputs[] = {logits, targets};
  const Tensors outputs = convoy::apply(shared_op<CrossEntropy>(), inputs);
  return {outputs[0], outputs[1]};
}

Tensor count_correct(const Tensor& logits, const Tensor& targets) {
  return apply_one(shared_op<CountCorrect>(), {logits, targets});
}

}  // namespace convoy
#endif
