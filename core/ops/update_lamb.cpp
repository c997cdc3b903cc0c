#include "core/ops/simd.h"
#include "core/ops/update.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/update_lamb.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

#ifndef CONVOY_CORE_OPS_UPDATE_LAMB_ARGUMENTS
#define CONVOY_CORE_OPS_UPDATE_LAMB_ARGUMENTS
namespace convoy {
namespace {

template <typename T>
struct LambStep {
  T *parameter, *m, *v;
  const T* gradient;
  T gradient_scale, beta1, one_minus_beta1, beta2, one_minus_beta2;
  T m_correction;  // 1 / (1 - beta1^t)
  T v_correction;  // 1 / (1 - beta2^t)
  T epsilon, decay;
};

// Sums of squares over a chunk.
struct Squares {
  double parameter = 0.0;
  double direction = 0.0;
};

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

HWY_INLINE void add_squares(Partials<double>& sums, hn::Vec<Lanes<double>> x, std::int64_t slot) {
  sums[slot] = hn::MulAdd(x, x, sums[slot]);
}

// In fp64: the lanes of slot k are those of the wider slots 2k and 2k + 1.
HWY_INLINE void add_squares(Partials<double>& sums, hn::Vec<Lanes<float>> x, std::int64_t slot) {
  const Lanes<double> d;
#if HWY_TARGET == HWY_SCALAR  // one lane, which has no halves
  add_squares(sums, hn::PromoteTo(d, x), slot);
#else
  const hn::Half<Lanes<float>> half;
  add_squares(sums, hn::PromoteTo(d, hn::LowerHalf(half, x)), 2 * slot);
  add_squares(sums, hn::PromoteTo(d, hn::UpperHalf(half, x)), 2 * slot + 1);
#endif
}

// m̂ / (√v̂ + ε) + λ·p: one expression for both passes, so that they agree to the last bit.
template <typename T>
struct Direction {
  using V = hn::Vec<Lanes<T>>;
  explicit HWY_INLINE Direction(const LambStep<T>& a)
      : m_correction(hn::Set(Lanes<T>(), a.m_correction)),
        v_correction(hn::Set(Lanes<T>(), a.v_correction)),
        epsilon(hn::Set(Lanes<T>(), a.epsilon)),
        decay(hn::Set(Lanes<T>(), a.decay)) {}
  HWY_INLINE V operator()(V p, V m, V v) const {
    const V deviation = hn::Add(hn::Sqrt(hn::Mul(v, v_correction)), epsilon);
    return hn::MulAdd(decay, p, hn::Div(hn::Mul(m, m_correction), deviation));
  }
  V m_correction, v_correction, epsilon, decay;
};

// First pass over one chunk: the moments, and the squares of parameter and direction.
template <typename T>
void lamb_moments(const LambStep<T>& a, std::int64_t begin, std::int64_t n, Squares& squares) {
  const Lanes<T> d;
  const auto gradient_scale = hn::Set(d, a.gradient_scale);
  const auto beta1 = hn::Set(d, a.beta1), one_minus_beta1 = hn::Set(d, a.one_minus_beta1);
  const auto beta2 = hn::Set(d, a.beta2), one_minus_beta2 = hn::Set(d, a.one_minus_beta2);
  const Direction<T> direction(a);
  Partials<double> parameter_squares, direction_squares;
  for_partials<T>(n, [&](auto access, std::int64_t k, std::int64_t slot) HWY_ATTR {
    const std::int64_t i = begin + k;
    const auto g = hn::Mul(access.load(a.gradient + i), gradient_scale);
    const auto p = access.load(a.parameter + i);
    const auto m = hn::MulAdd(beta1, access.load(a.m + i), hn::Mul(one_minus_beta1, g));
    const auto v = hn::MulAdd(beta2, access.load(a.v + i), hn::Mul(one_minus_beta2, hn::Mul(g, g)));
    access.store(m, a.m + i);
    access.store(v, a.v + i);
    add_squares(parameter_squares, p, slot);
    add_squares(direction_squares, direction(p, m, v), slot);  // zero beyond the end, as all that it is made of
  });
  squares = {parameter_squares.total(), direction_squares.total()};
}

// Second pass: p -= rate · direction.
template <typename T>
void lamb_apply(const LambStep<T>& a, std::int64_t begin, std::int64_t end, T rate_value) {
  const auto rate = hn::Set(Lanes<T>(), rate_value);
  const Direction<T> direction(a);
  for_vectors<T>(end - begin, [&](auto access, std::int64_t k) HWY_ATTR {
    const std::int64_t i = begin + k;
    const auto p = access.load(a.parameter + i);
    access.store(hn::NegMulAdd(rate, direction(p, access.load(a.m + i), access.load(a.v + i)), p), a.parameter + i);
  });
}

void moments_f32(const LambStep<float>& a, std::int64_t begin, std::int64_t n, Squares& squares) {
  lamb_moments(a, begin, n, squares);
}
void moments_f64(const LambStep<double>& a, std::int64_t begin, std::int64_t n, Squares& squares) {
  lamb_moments(a, begin, n, squares);
}
void apply_f32(const LambStep<float>& a, std::int64_t begin, std::int64_t end, float rate) {
  lamb_apply(a, begin, end, rate);
}
void apply_f64(const LambStep<double>& a, std::int64_t begin, std::int64_t end, double rate) {
  lamb_apply(a, begin, end, rate);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <fmt/ranges.h>

#include <cmath>

#include "core/base/tree.h"
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

HWY_EXPORT(moments_f32);
HWY_EXPORT(moments_f64);
HWY_EXPORT(apply_f32);
HWY_EXPORT(apply_f64);

void run_moments(const LambStep<float>& a, std::int64_t begin, std::int64_t n, Squares& squares) {
  HWY_DYNAMIC_DISPATCH(moments_f32)(a, begin, n, squares);
}
void run_moments(const LambStep<double>& a, std::int64_t begin, std::int64_t n, Squares& squares) {
  HWY_DYNAMIC_DISPATCH(moments_f64)(a, begin, n, squares);
}
void run_apply(const LambStep<float>& a, std::int64_t begin, std::int64_t end, float rate) {
  HWY_DYNAMIC_DISPATCH(apply_f32)(a, begin, end, rate);
}
void run_apply(const LambStep<double>& a, std::int64_t begin, std::int64_t end, double rate) {
  HWY_DYNAMIC_DISPATCH(apply_f64)(a, begin, end, rate);
}

// ‖parameter‖ / ‖direction‖, or 1 where either is zero.
double trust_ratio(double parameter_squares, double direction_squares) {
  if (parameter_squares <= 0.0 || direction_squares <= 0.0) return 1.0;
  return std::sqrt(parameter_squares) / std::sqrt(direction_squares);
}

// (parameter, m, v, gradient, factors) → parameter, m, v, in place.
class Lamb final : public Op {
 public:
  explicit Lamb(LambAttributes attributes) : attributes_(std::move(attributes)) {}
  std::string_view name() const override { return "lamb"; }
  Traits traits() const override { return {.update = true, .differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("beta1", attributes_.beta1);
    visitor.visit("beta2", attributes_.beta2);
    visitor.visit("epsilon", attributes_.epsilon);
    visitor.visit("weight_decay", attributes_.weight_decay);
    visitor.visit("adapt", std::int64_t{attributes_.adapt});
    visitor.visit("begins", attributes_.begins);
    visitor.visit("ends", attributes_.ends);
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 5);
    bool sound =
        is_wide(in[0].dtype) && in[0].shape.rank() == 1 && in[4].dtype == DType::kF64 && in[4].shape == Shape{5};
    for (const Spec& spec : in.first(4)) sound = sound && spec.dtype == in[0].dtype && spec.shape == in[0].shape;
    if (!sound) refuse(name(), in, "parameter, m, v and gradient f32 or f64 [n], factors f64 [5]");
    check_extents(in[0].shape[0]);
    return {in[0], in[1], in[2]};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_wide(args.outputs[0].dtype(), [&]<typename T>(T) {
      LambStep<T> step{};
      step.parameter = args.outputs[0].template data<T>();
      step.m = args.outputs[1].template data<T>();
      step.v = args.outputs[2].template data<T>();
      step.gradient = args.inputs[3].template data<T>();
      step.beta1 = static_cast<T>(attributes_.beta1);
      step.one_minus_beta1 = static_cast<T>(1.0 - attributes_.beta1);
      step.beta2 = static_cast<T>(attributes_.beta2);
      step.one_minus_beta2 = static_cast<T>(1.0 - attributes_.beta2);
      step.epsilon = static_cast<T>(attributes_.epsilon);
      step.decay = static_cast<T>(attributes_.weight_decay);
      std::int64_t most = 0;
      for (std::size_t k = 0; k < attributes_.begins.size(); ++k)
        most = std::max(most, chunks_of(attributes_.begins[k], attributes_.ends[k]));
      return prepared([step, attributes = attributes_, factors = args.inputs[4].data<double>(),
                       squares = args.scratch.take<double>(2 * most), threads = threads_of(args)] {
        if (factors[4] == 0.0) return;
        LambStep<T> whole = step;
        whole.gradient_scale = static_cast<T>(factors[3]);
        whole.m_correction = static_cast<T>(1.0 / factors[1]);
        whole.v_correction = static_cast<T>(1.0 / factors[2]);
        // Parameter by parameter: the second pass finds in cache what fits there.
        for (std::size_t k = 0; k < attributes.begins.size(); ++k)
          update(threads, whole, attributes.begins[k], attributes.ends[k], factors[0], attributes.adapt, squares);
      });
    });
  }

 private:
  void check_extents(std::int64_t n) const {
    const auto& [beta1, beta2, epsilon, weight_decay, adapt, begins, ends] = attributes_;
    bool sound = begins.size() == ends.size();
    std::int64_t last = 0;
    for (std::size_t k = 0; sound && k < begins.size(); ++k) {
      sound = begins[k] % kSquareChunk == 0 && begins[k] >= last && ends[k] >= begins[k] && ends[k] <= n;
      last = ends[k];
    }
    if (!sound)
      fail(ErrorCode::kInvalidArgument,
           "lamb: parameters begin at {} and end at {}; expected them in order, inside [0, {}], from multiples of {}",
           fmt::join(begins, ", "), fmt::join(ends, ", "), n, kSquareChunk);
  }

  static std::int64_t chunks_of(std::int64_t begin, std::int64_t end) {
    return (end - begin + kSquareChunk - 1) / kSquareChunk;
  }

  // `squares`: room for those of two kinds of all chunks.
  template <typename T>
  static void update(int threads, const LambStep<T>& step, std::int64_t begin, std::int64_t end, double lr, bool adapt,
                     double* squares) {
    const std::int64_t chunks = chunks_of(begin, end);
    const std::span parameter_squares(squares, static_cast<std::size_t>(chunks));
    const std::span direction_squares(squares + chunks, static_cast<std::size_t>(chunks));
    parallel_for(threads, chunks, kGrain / kSquareChunk, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t chunk = first; chunk < last; ++chunk) {
        const std::int64_t at = begin + chunk * kSquareChunk;
        Squares both;
        run_moments(step, at, std::min(kSquareChunk, end - at), both);
        parameter_squares[static_cast<std::size_t>(chunk)] = both.parameter;
        direction_squares[static_cast<std::size_t>(chunk)] = both.direction;
      }
    });
    const double ratio = adapt ? trust_ratio(tree_sum(parameter_squares), tree_sum(direction_squares)) : 1.0;
    parallel_for(threads, end - begin, kGrain, [&](std::int64_t first, std::int64_t last) {
      run_apply(step, begin + first, begin + last, static_cast<T>(lr * ratio));
    });
  }

  LambAttributes attributes_;
};

const RegisterOp kRegistered("lamb");

}  // namespace

OpPtr lamb_op(const LambAttributes& attributes) { return std::make_shared<Lamb>(attributes); }

void lamb_update(const LambAttributes& attributes, const Tensor& parameter, const Tensor& m, const Tensor& v,
                 const Tensor& gradient, const Tensor& factors) {
  const Tensor inputs[] = {parameter, m, v, contiguous(gradient), contiguous(factors)};
  apply_update(lamb_op(attributes), inputs, std::span(inputs).first(3));
}

}  // namespace convoy
#endif
