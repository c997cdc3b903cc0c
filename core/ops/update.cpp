#include "core/ops/update.h"

#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/update.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
#include "hwy/cache_control.h"
// clang-format on

#ifndef CONVOY_CORE_OPS_UPDATE_ARGUMENTS
#define CONVOY_CORE_OPS_UPDATE_ARGUMENTS
namespace convoy {
namespace {

template <typename T>
struct AdamWStep {
  T *parameter, *m, *v;
  const T* gradient;
  std::int64_t n;
  T gradient_scale, beta1, one_minus_beta1, beta2, one_minus_beta2;
  T decay;         // lr·weight_decay
  T step;          // lr / (1 - beta1^t)
  T v_correction;  // 1 / (1 - beta2^t)
  T epsilon;
};

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

// What a pass over long arrays will read a while later: the processor's own looking ahead ends with every page.
constexpr std::int64_t kAhead = 512;
template <typename T>
HWY_INLINE void fetch_ahead(const T* x) {
  hwy::Prefetch(x + kAhead);
}

template <typename T>
void adamw(const AdamWStep<T>& a) {
  const Lanes<T> d;
  const auto gradient_scale = hn::Set(d, a.gradient_scale);
  const auto beta1 = hn::Set(d, a.beta1), one_minus_beta1 = hn::Set(d, a.one_minus_beta1);
  const auto beta2 = hn::Set(d, a.beta2), one_minus_beta2 = hn::Set(d, a.one_minus_beta2);
  const auto decay = hn::Set(d, a.decay), step = hn::Set(d, a.step);
  const auto v_correction = hn::Set(d, a.v_correction), epsilon = hn::Set(d, a.epsilon);
  for_vectors<T>(a.n, [&](auto access, std::int64_t i) HWY_ATTR {
    fetch_ahead(a.gradient + i);
    fetch_ahead(a.parameter + i);
    fetch_ahead(a.m + i);
    fetch_ahead(a.v + i);
    const auto g = hn::Mul(access.load(a.gradient + i), gradient_scale);
    const auto p = access.load(a.parameter + i);
    const auto m = hn::MulAdd(beta1, access.load(a.m + i), hn::Mul(one_minus_beta1, g));
    const auto v = hn::MulAdd(beta2, access.load(a.v + i), hn::Mul(one_minus_beta2, hn::Mul(g, g)));
    const auto deviation = hn::Add(hn::Sqrt(hn::Mul(v, v_correction)), epsilon);
    const auto decayed = hn::NegMulAdd(decay, p, p);
    access.store(m, a.m + i);
    access.store(v, a.v + i);
    access.store(hn::Sub(decayed, hn::Div(hn::Mul(step, m), deviation)), a.parameter + i);
  });
}

template <typename T>
HWY_INLINE hn::Vec<Lanes<double>> load_wide(const T* x) {
  const Lanes<double> d;
  if constexpr (sizeof(T) == 4) {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, Lanes<double>>(), x));
  } else {
    return hn::LoadU(d, x);
  }
}

template <typename T>
void chunk_squares_of(const T* x, std::int64_t chunks, double* sums) {
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk, x += kSquareChunk) {
    Partials<double> partials;
    for (std::int64_t i = 0; i < kSquareChunk; i += kSumLanes) {
      fetch_ahead(x + i);
      for (std::int64_t k = 0; k < Partials<double>::kVectors; ++k) {
        const auto wide = load_wide(x + i + k * lanes<double>());
        partials[k] = hn::MulAdd(wide, wide, partials[k]);
      }
    }
    sums[chunk] = partials.total();
  }
}

void adamw_f32(const AdamWStep<float>& a) { adamw(a); }
void adamw_f64(const AdamWStep<double>& a) { adamw(a); }
void chunk_squares_f32(const float* x, std::int64_t chunks, double* sums) { chunk_squares_of(x, chunks, sums); }
void chunk_squares_f64(const double* x, std::int64_t chunks, double* sums) { chunk_squares_of(x, chunks, sums); }

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

HWY_EXPORT(adamw_f32);
HWY_EXPORT(adamw_f64);
HWY_EXPORT(chunk_squares_f32);
HWY_EXPORT(chunk_squares_f64);

void run(const AdamWStep<float>& a) { HWY_DYNAMIC_DISPATCH(adamw_f32)(a); }
void run(const AdamWStep<double>& a) { HWY_DYNAMIC_DISPATCH(adamw_f64)(a); }
void run(const float* x, std::int64_t chunks, double* sums) {
  HWY_DYNAMIC_DISPATCH(chunk_squares_f32)(x, chunks, sums);
}
void run(const double* x, std::int64_t chunks, double* sums) {
  HWY_DYNAMIC_DISPATCH(chunk_squares_f64)(x, chunks, sums);
}

// (parameter, m, v, gradient, factors) → parameter, m, v, in place.
class AdamW final : public Op {
 public:
  explicit AdamW(const AdamWAttributes& attributes) : attributes_(attributes) {}
  std::string_view name() const override { return "adamw"; }
  Traits traits() const override { return {.elementwise = true, .update = true, .differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("beta1", attributes_.beta1);
    visitor.visit("beta2", attributes_.beta2);
    visitor.visit("epsilon", attributes_.epsilon);
    visitor.visit("weight_decay", attributes_.weight_decay);
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 5);
    bool sound =
        is_wide(in[0].dtype) && in[0].shape.rank() == 1 && in[4].dtype == DType::kF64 && in[4].shape == Shape{5};
    for (const Spec& spec : in.first(4)) sound = sound && spec.dtype == in[0].dtype && spec.shape == in[0].shape;
    if (!sound) refuse(name(), in, "parameter, m, v and gradient f32 or f64 [n], factors f64 [5]");
    return {in[0], in[1], in[2]};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_wide(args.outputs[0].dtype(), [&]<typename T>(T) {
      AdamWStep<T> fixed{};
      fixed.parameter = args.outputs[0].data<T>();
      fixed.m = args.outputs[1].data<T>();
      fixed.v = args.outputs[2].data<T>();
      fixed.gradient = args.inputs[3].data<T>();
      fixed.n = args.outputs[0].elements();
      fixed.beta1 = static_cast<T>(attributes_.beta1);
      fixed.one_minus_beta1 = static_cast<T>(1.0 - attributes_.beta1);
      fixed.beta2 = static_cast<T>(attributes_.beta2);
      fixed.one_minus_beta2 = static_cast<T>(1.0 - attributes_.beta2);
      fixed.epsilon = static_cast<T>(attributes_.epsilon);
      return prepared([fixed, weight_decay = attributes_.weight_decay, factors = args.inputs[4].data<double>(),
                       threads = threads_of(args)] {
        if (factors[4] == 0.0) return;
        AdamWStep<T> whole = fixed;
        whole.gradient_scale = static_cast<T>(factors[3]);
        whole.decay = static_cast<T>(factors[0] * weight_decay);
        whole.step = static_cast<T>(factors[0] / factors[1]);
        whole.v_correction = static_cast<T>(1.0 / factors[2]);
        parallel_for(threads, whole.n, kGrain, [&](std::int64_t begin, std::int64_t end) {
          AdamWStep<T> piece = whole;
          piece.parameter += begin;
          piece.m += begin;
          piece.v += begin;
          piece.gradient += begin;
          piece.n = end - begin;
          run(piece);
        });
      });
    });
  }

 private:
  AdamWAttributes attributes_;
};

class ChunkSquares final : public Op {
 public:
  std::string_view name() const override { return "chunk_squares"; }
  Traits traits() const override { return {.differentiable = false}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_wide(name(), in);
    if (in[0].shape.rank() != 1 || in[0].shape[0] % kSquareChunk != 0)
      refuse(name(), in, fmt::format("[n] with n a multiple of {}", kSquareChunk));
    return {{DType::kF64, {in[0].shape[0] / kSquareChunk}, in[0].device}};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_wide(args.inputs[0].dtype(), [&]<typename T>(T) {
      return prepared([x = args.inputs[0].data<T>(), sums = args.outputs[0].data<double>(),
                       chunks = args.outputs[0].elements(), threads = threads_of(args)] {
        parallel_for(threads, chunks, kGrain / kSquareChunk, [&](std::int64_t begin, std::int64_t end) {
          run(x + begin * kSquareChunk, end - begin, sums + begin);
        });
      });
    });
  }
};

const RegisterOp kRegistered[] = {RegisterOp("adamw"), RegisterOp("chunk_squares", shared_op_of<ChunkSquares>)};

}  // namespace

OpPtr adamw_op(const AdamWAttributes& attributes) { return std::make_shared<AdamW>(attributes); }

void adamw_update(const AdamWAttributes& attributes, const Tensor& parameter, const Tensor& m, const Tensor& v,
                  const Tensor& gradient, const Tensor& factors) {
  const Tensor inputs[] = {parameter, m, v, contiguous(gradient), contiguous(factors)};
  apply_update(adamw_op(attributes), inputs, std::span(inputs).first(3));
}

Tensor chunk_squares(const Tensor& gradient) { return apply_one(shared_op<ChunkSquares>(), {gradient}); }

}  // namespace convoy
#endif
