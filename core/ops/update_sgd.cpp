#include "core/ops/simd.h"
#include "core/ops/update.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/update_sgd.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

#ifndef CONVOY_CORE_OPS_UPDATE_SGD_ARGUMENTS
#define CONVOY_CORE_OPS_UPDATE_SGD_ARGUMENTS
namespace convoy {
namespace {

template <typename T>
struct SgdStep {
  T *parameter, *buffer;  // buffer: null without momentum
  const T* gradient;
  std::int64_t n;
  T gradient_scale, decay, momentum, rate;
  bool nesterov;
};

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

template <typename T>
void plain_sgd(const SgdStep<T>& a) {
  const Lanes<T> d;
  const auto gradient_scale = hn::Set(d, a.gradient_scale), decay = hn::Set(d, a.decay), rate = hn::Set(d, a.rate);
  for_vectors<T>(a.n, [&](auto access, std::int64_t i) HWY_ATTR {
    const auto p = access.load(a.parameter + i);
    const auto g = hn::MulAdd(decay, p, hn::Mul(access.load(a.gradient + i), gradient_scale));
    access.store(hn::NegMulAdd(rate, g, p), a.parameter + i);
  });
}

template <typename T, bool kNesterov>
void momentum_sgd(const SgdStep<T>& a) {
  const Lanes<T> d;
  const auto gradient_scale = hn::Set(d, a.gradient_scale), decay = hn::Set(d, a.decay), rate = hn::Set(d, a.rate);
  const auto momentum = hn::Set(d, a.momentum);
  for_vectors<T>(a.n, [&](auto access, std::int64_t i) HWY_ATTR {
    const auto p = access.load(a.parameter + i);
    const auto g = hn::MulAdd(decay, p, hn::Mul(access.load(a.gradient + i), gradient_scale));
    const auto buffer = hn::MulAdd(momentum, access.load(a.buffer + i), g);
    access.store(buffer, a.buffer + i);
    const auto direction = kNesterov ? hn::MulAdd(momentum, buffer, g) : buffer;
    access.store(hn::NegMulAdd(rate, direction, p), a.parameter + i);
  });
}

template <typename T>
void sgd(const SgdStep<T>& a) {
  if (a.buffer == nullptr) return plain_sgd(a);
  a.nesterov ? momentum_sgd<T, true>(a) : momentum_sgd<T, false>(a);
}

void sgd_f32(const SgdStep<float>& a) { sgd(a); }
void sgd_f64(const SgdStep<double>& a) { sgd(a); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

HWY_EXPORT(sgd_f32);
HWY_EXPORT(sgd_f64);

void run(const SgdStep<float>& a) { HWY_DYNAMIC_DISPATCH(sgd_f32)(a); }
void run(const SgdStep<double>& a) { HWY_DYNAMIC_DISPATCH(sgd_f64)(a); }

// (parameter[, buffer], gradient, factors) → parameter[, buffer], in place.
class Sgd final : public Op {
 public:
  explicit Sgd(const SgdAttributes& attributes) : attributes_(attributes) {}
  std::string_view name() const override { return "sgd"; }
  Traits traits() const override { return {.elementwise = true, .update = true, .differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("momentum", attributes_.momentum);
    visitor.visit("nesterov", std::int64_t{attributes_.nesterov});
    visitor.visit("weight_decay", attributes_.weight_decay);
  }
  Specs infer(std::span<const Spec> in) const override {
    const std::size_t states = has_buffer() ? 2 : 1;
    check_count(name(), in, states + 2);
    const Spec& factors = in[states + 1];
    bool sound =
        is_wide(in[0].dtype) && in[0].shape.rank() == 1 && factors.dtype == DType::kF64 && factors.shape == Shape{3};
    for (const Spec& spec : in.first(states + 1))
      sound = sound && spec.dtype == in[0].dtype && spec.shape == in[0].shape;
    if (!sound) refuse(name(), in, "parameter, buffer (with momentum) and gradient f32 or f64 [n], factors f64 [3]");
    return {in.begin(), in.begin() + static_cast<std::ptrdiff_t>(states)};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_wide(args.outputs[0].dtype(), [&]<typename T>(T) {
      SgdStep<T> fixed{};
      fixed.parameter = args.outputs[0].data<T>();
      fixed.buffer = has_buffer() ? args.outputs[1].data<T>() : nullptr;
      fixed.gradient = args.inputs[args.outputs.size()].data<T>();
      fixed.n = args.outputs[0].elements();
      fixed.decay = static_cast<T>(attributes_.weight_decay);
      fixed.momentum = static_cast<T>(attributes_.momentum);
      fixed.nesterov = attributes_.nesterov;
      return prepared([fixed, factors = args.inputs.back().data<double>(), threads = threads_of(args)] {
        if (factors[2] == 0.0) return;
        parallel_for(threads, fixed.n, kGrain, [&](std::int64_t begin, std::int64_t end) {
          SgdStep<T> piece = fixed;
          piece.gradient_scale = static_cast<T>(factors[1]);
          piece.rate = static_cast<T>(factors[0]);
          piece.parameter += begin;
          if (piece.buffer != nullptr) piece.buffer += begin;
          piece.gradient += begin;
          piece.n = end - begin;
          run(piece);
        });
      });
    });
  }

 private:
  bool has_buffer() const { return attributes_.momentum > 0.0; }

  SgdAttributes attributes_;
};

const RegisterOp kRegistered("sgd");

}  // namespace

OpPtr sgd_op(const SgdAttributes& attributes) { return std::make_shared<Sgd>(attributes); }

void sgd_update(const SgdAttributes& attributes, std::span<const Tensor> state, const Tensor& gradient,
                const Tensor& factors) {
  Tensors inputs(state.begin(), state.end());
  inputs.push_back(contiguous(gradient));
  inputs.push_back(contiguous(factors));
  apply_update(sgd_op(attributes), inputs, state);
}

}  // namespace convoy
#endif
