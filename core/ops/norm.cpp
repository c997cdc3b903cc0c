#include "core/ops/norm.h"

#include "core/ops/per_type.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/norm.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

#include <cmath>

#ifndef CONVOY_CORE_OPS_NORM_ARGUMENTS
#define CONVOY_CORE_OPS_NORM_ARGUMENTS
namespace convoy {
namespace {

// Rows [0, rows) of width C; mean and rstd hold one element a row.
template <typename T>
struct NormForward {
  const T* x;
  const Compute<T>*gamma, *beta;
  T* y;
  Compute<T>*mean, *rstd;
  std::int64_t rows, width;
  double epsilon;

  NormForward part(std::int64_t begin, std::int64_t end) const {
    const std::int64_t first = begin * width;
    return {x + first, gamma, beta, y + first, mean + begin, rstd + begin, end - begin, width, epsilon};
  }
};

// dgamma and dbeta get these rows' sums.
template <typename T>
struct NormBackward {
  const T *x, *dy;
  const Compute<T>*gamma, *mean, *rstd;
  T* dx;
  Compute<T>*dgamma, *dbeta;
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
void forward(const NormForward<T>& a) {
  const Lanes<T> d;
  const auto count = static_cast<double>(a.width);
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* x = a.x + row * a.width;
    T* y = a.y + row * a.width;
    const double sum = sum_terms<T>(a.width, [x](auto access, std::int64_t i) HWY_ATTR { return access.load(x + i); });
    const auto mean = static_cast<Compute<T>>(sum / count);
    const auto means = hn::Set(d, mean);
    const double squares = sum_terms<T>(a.width, [x, means](auto access, std::int64_t i) HWY_ATTR {
      const auto centred = hn::Sub(access.load(x + i), means);
      return access.only(hn::Mul(centred, centred));
    });
    const auto rstd = static_cast<Compute<T>>(1.0 / std::sqrt(squares / count + a.epsilon));
    const auto rstds = hn::Set(d, rstd);
    for_vectors<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR {
      const auto normal = hn::Mul(hn::Sub(access.load(x + i), means), rstds);
      access.store(hn::MulAdd(normal, access.load(a.gamma + i), access.load(a.beta + i)), y + i);
    });
    a.mean[row] = mean;
    a.rstd[row] = rstd;
  }
}

// With n = (x - mean)·rstd and g = dy·gamma: dx = rstd·(g - mean of g - n · mean of g·n).
template <typename T>
void backward(const NormBackward<T>& a) {
  const Lanes<T> d;
  std::fill_n(a.dgamma, a.width, Compute<T>{0});
  std::fill_n(a.dbeta, a.width, Compute<T>{0});
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* x = a.x + row * a.width;
    const T* dy = a.dy + row * a.width;
    T* dx = a.dx + row * a.width;
    const auto means = hn::Set(d, a.mean[row]);
    const auto rstds = hn::Set(d, a.rstd[row]);
    double sum = 0;
    double product_sum = 0;
    for (std::int64_t begin = 0; begin < a.width; begin += kSumBlock) {
      Partials<T> sums;
      Partials<T> product_sums;
      const auto add_terms = [&](auto access, std::int64_t offset, std::int64_t slot) HWY_ATTR {
        const std::int64_t i = begin + offset;
        const auto normal = hn::Mul(hn::Sub(access.load(x + i), means), rstds);
        const auto gradient = access.load(dy + i);
        const auto g = hn::Mul(gradient, access.load(a.gamma + i));
        sums[slot] = hn::Add(sums[slot], g);
        product_sums[slot] = hn::MulAdd(g, normal, product_sums[slot]);
        access.store(hn::MulAdd(gradient, normal, access.load(a.dgamma + i)), a.dgamma + i);
        access.store(hn::Add(gradient, access.load(a.dbeta + i)), a.dbeta + i);
      };
      for_partials<T>(std::min(kSumBlock, a.width - begin), add_terms);
      sum += static_cast<double>(sums.total());
      product_sum += static_cast<double>(product_sums.total());
    }
    const auto count = static_cast<double>(a.width);
    const auto g_means = hn::Set(d, static_cast<Compute<T>>(sum / count));
    const auto product_means = hn::Set(d, static_cast<Compute<T>>(product_sum / count));
    for_vectors<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR {
      const auto normal = hn::Mul(hn::Sub(access.load(x + i), means), rstds);
      const auto g = hn::Mul(access.load(dy + i), access.load(a.gamma + i));
      access.store(hn::Mul(rstds, hn::NegMulAdd(normal, product_means, hn::Sub(g, g_means))), dx + i);
    });
  }
}

CONVOY_FOR_EACH_TYPE(forward, NormForward);
CONVOY_FOR_EACH_TYPE(backward, NormBackward);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"
#include "core/ops/norm_rows.h"
#include "core/ops/rows.h"

namespace convoy {
namespace {

CONVOY_RUN_KERNEL(forward, NormForward);
CONVOY_RUN_KERNEL(backward, NormBackward);

bool is_vector_of(const Spec& spec, std::int64_t width) { return spec.shape == Shape{width}; }

// (x, dy, gamma, mean, rstd) → dx, dgamma, dbeta.
class LayerNormBackward final : public Op {
 public:
  std::string_view name() const override { return "layer_norm_backward"; }
  Traits traits() const override { return {.differentiable = false}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 5);
    check_mixed(name(), in, 2);
    const Shape& shape = in[0].shape;
    if (shape.rank() < 1 || shape[-1] < 1 || in[1].shape != shape || !is_vector_of(in[2], shape[-1]) ||
        in[3].shape != without_last(shape) || in[4].shape != in[3].shape)
      refuse(name(), in, "x [..., C], dy [..., C], gamma [C], mean [...], rstd [...]");
    return {in[0], in[2], in[2]};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      using C = Compute<T>;
      const std::int64_t width = args.inputs[0].shape()[-1];
      const RowBlocks<C> blocks(args, rows_of(args.inputs[0].shape()), width, args.outputs.subspan(1));
      const NormBackward<T> whole{args.inputs[0].data<T>(),
                                  args.inputs[1].data<T>(),
                                  args.inputs[2].data<C>(),
                                  args.inputs[3].data<C>(),
                                  args.inputs[4].data<C>(),
                                  args.outputs[0].data<T>(),
                                  nullptr,
                                  nullptr,
                                  0,
                                  width};
      return prepared([blocks, whole] {
        blocks.for_each([&](std::int64_t row, std::int64_t rows, C* sums) {
          NormBackward<T> part = whole;
          part.x += row * whole.width;
          part.dy += row * whole.width;
          part.mean += row;
          part.rstd += row;
          part.dx += row * whole.width;
          part.dgamma = sums;
          part.dbeta = sums + whole.width;
          part.rows = rows;
          run(part);
        });
      });
    });
  }
};

// (x, gamma, beta) → y, and mean and 1/deviation of each row for the backward pass.
class LayerNorm final : public Op {
 public:
  explicit LayerNorm(double epsilon) : epsilon_(epsilon) {}
  std::string_view name() const override { return "layer_norm"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0b011, .gradient_reads_outputs = 0b110}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("epsilon", epsilon_); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 3);
    check_mixed(name(), in, 1);
    const Shape& shape = in[0].shape;
    if (shape.rank() < 1 || shape[-1] < 1 || !is_vector_of(in[1], shape[-1]) || !is_vector_of(in[2], shape[-1]))
      refuse(name(), in, "x [..., C], gamma [C], beta [C]");
    const Spec row{in[1].dtype, without_last(shape), in[0].device};
    return {in[0], row, row};
  }
  Tensors vjp(const VjpArgs& args) const override {
    if (!args.gradients[0].defined()) return Tensors(3);
    const Tensor inputs[] = {args.inputs[0], args.gradients[0], args.inputs[1], args.outputs[1], args.outputs[2]};
    return convoy::apply(shared_op<LayerNormBackward>(), inputs);
  }
  std::optional<Again> again(std::size_t output, std::span<const Spec>) const override {
    if (output != 0) return {};
    return Again{.operands = {0, 1, 2}};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      using C = Compute<T>;
      const Shape& shape = args.inputs[0].shape();
      const NormForward<T> all{args.inputs[0].data<T>(),
                               args.inputs[1].data<C>(),
                               args.inputs[2].data<C>(),
                               args.outputs[0].data<T>(),
                               args.outputs[1].data<C>(),
                               args.outputs[2].data<C>(),
                               rows_of(shape),
                               shape[-1],
                               epsilon_};
      return prepared_rows(args, all);
    });
  }

 private:
  double epsilon_;
};

const RegisterOp kRegistered[] = {RegisterOp("layer_norm"),
                                  RegisterOp("layer_norm_backward", shared_op_of<LayerNormBackward>)};

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double epsilon) {
  return apply_one(std::make_shared<LayerNorm>(epsilon), {x, gamma, beta});
}

}  // namespace convoy
#endif
