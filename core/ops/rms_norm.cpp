#include "core/ops/per_type.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/rms_norm.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

#include <cmath>

#ifndef CONVOY_CORE_OPS_RMS_NORM_ARGUMENTS
#define CONVOY_CORE_OPS_RMS_NORM_ARGUMENTS
namespace convoy {
namespace {

// Rows [0, rows) of width C; rrms holds 1 / root mean square of each row.
template <typename T>
struct RmsForward {
  const T* x;
  const Compute<T>* gamma;
  T* y;
  Compute<T>* rrms;
  std::int64_t rows, width;
  double epsilon;

  RmsForward part(std::int64_t begin, std::int64_t end) const {
    return {x + begin * width, gamma, y + begin * width, rrms + begin, end - begin, width, epsilon};
  }
};

// dgamma gets these rows' sum.
template <typename T>
struct RmsBackward {
  const T *x, *dy;
  const Compute<T>*gamma, *rrms;
  T* dx;
  Compute<T>* dgamma;
  std::int64_t rows, width;
};

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

template <typename T>
void forward(const RmsForward<T>& a) {
  const Lanes<T> d;
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* x = a.x + row * a.width;
    T* y = a.y + row * a.width;
    const double squares = sum_terms<T>(a.width, [x](auto access, std::int64_t i) HWY_ATTR {
      const auto value = access.load(x + i);
      return hn::Mul(value, value);
    });
    const auto rrms = static_cast<Compute<T>>(1.0 / std::sqrt(squares / static_cast<double>(a.width) + a.epsilon));
    const auto factor = hn::Set(d, rrms);
    for_vectors<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR {
      access.store(hn::Mul(hn::Mul(access.load(x + i), factor), access.load(a.gamma + i)), y + i);
    });
    a.rrms[row] = rrms;
  }
}

// With n = x·rrms and g = dy·gamma: dx = rrms·(g - n · mean of g·n).
template <typename T>
void backward(const RmsBackward<T>& a) {
  const Lanes<T> d;
  std::fill_n(a.dgamma, a.width, Compute<T>{0});
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* x = a.x + row * a.width;
    const T* dy = a.dy + row * a.width;
    T* dx = a.dx + row * a.width;
    const auto factor = hn::Set(d, a.rrms[row]);
    const double sum = sum_terms<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR {
      const auto normal = hn::Mul(access.load(x + i), factor);
      const auto term = hn::Mul(access.load(dy + i), normal);
      access.store(hn::Add(term, access.load(a.dgamma + i)), a.dgamma + i);
      return hn::Mul(term, access.load(a.gamma + i));
    });
    const auto mean = hn::Set(d, static_cast<Compute<T>>(sum / static_cast<double>(a.width)));
    for_vectors<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR {
      const auto normal = hn::Mul(access.load(x + i), factor);
      const auto g = hn::Mul(access.load(dy + i), access.load(a.gamma + i));
      access.store(hn::Mul(factor, hn::NegMulAdd(normal, mean, g)), dx + i);
    });
  }
}

CONVOY_FOR_EACH_TYPE(forward, RmsForward);
CONVOY_FOR_EACH_TYPE(backward, RmsBackward);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"
#include "core/ops/norm.h"
#include "core/ops/norm_rows.h"
#include "core/ops/rows.h"

namespace convoy {
namespace {

CONVOY_RUN_KERNEL(forward, RmsForward);
CONVOY_RUN_KERNEL(backward, RmsBackward);

bool is_gain_of(const Spec& gamma, const Shape& x) { return x.rank() > 0 && x[-1] > 0 && gamma.shape == Shape{x[-1]}; }

// (x, dy, gamma, rrms) → dx, dgamma.
class RmsNormBackward final : public Op {
 public:
  std::string_view name() const override { return "rms_norm_backward"; }
  Traits traits() const override { return {.differentiable = false}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 4);
    check_mixed(name(), in, 2);
    const Shape& shape = in[0].shape;
    if (!is_gain_of(in[2], shape) || in[1].shape != shape || in[3].shape != without_last(shape))
      refuse(name(), in, "x [..., C], dy [..., C], gamma [C], rrms [...]");
    return {in[0], in[2]};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      using C = Compute<T>;
      const std::int64_t width = args.inputs[0].shape()[-1];
      const RowBlocks<C> blocks(args, rows_of(args.inputs[0].shape()), width, args.outputs.subspan(1));
      const RmsBackward<T> whole{args.inputs[0].data<T>(),
                                 args.inputs[1].data<T>(),
                                 args.inputs[2].data<C>(),
                                 args.inputs[3].data<C>(),
                                 args.outputs[0].data<T>(),
                                 nullptr,
                                 0,
                                 width};
      return prepared([blocks, whole] {
        blocks.for_each([&](std::int64_t row, std::int64_t rows, C* sums) {
          RmsBackward<T> part = whole;
          part.x += row * whole.width;
          part.dy += row * whole.width;
          part.rrms += row;
          part.dx += row * whole.width;
          part.dgamma = sums;
          part.rows = rows;
          run(part);
        });
      });
    });
  }
};

// (x, gamma) → y, and 1 / root mean square of each row for the backward pass.
class RmsNorm final : public Op {
 public:
  explicit RmsNorm(double epsilon) : epsilon_(epsilon) {}
  std::string_view name() const override { return "rms_norm"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0b11, .gradient_reads_outputs = 0b10}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("epsilon", epsilon_); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    check_mixed(name(), in, 1);
    if (!is_gain_of(in[1], in[0].shape)) refuse(name(), in, "x [..., C], gamma [C]");
    return {in[0], {in[1].dtype, without_last(in[0].shape), in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    if (!args.gradients[0].defined()) return Tensors(2);
    const Tensor inputs[] = {args.inputs[0], args.gradients[0], args.inputs[1], args.outputs[1]};
    return convoy::apply(shared_op<RmsNormBackward>(), inputs);
  }
  std::optional<Again> again(std::size_t output, std::span<const Spec>) const override {
    if (output != 0) return {};
    return Again{.operands = {0, 1}};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      using C = Compute<T>;
      const Shape& shape = args.inputs[0].shape();
      const RmsForward<T> all{args.inputs[0].data<T>(),
                              args.inputs[1].data<C>(),
                              args.outputs[0].data<T>(),
                              args.outputs[1].data<C>(),
                              rows_of(shape),
                              shape[-1],
                              epsilon_};
      return prepared_rows(args, all);
    });
  }

 private:
  double epsilon_;
};

const RegisterOp kRegistered[] = {RegisterOp("rms_norm"),
                                  RegisterOp("rms_norm_backward", shared_op_of<RmsNormBackward>)};

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& gamma, double epsilon) {
  return apply_one(std::make_shared<RmsNorm>(epsilon), {x, gamma});
}

}  // namespace convoy
#endif
