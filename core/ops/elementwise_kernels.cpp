#include "core/ops/elementwise_kernels.h"

#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/elementwise_kernels.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/sigmoid-inl.h"
#include "core/ops/gelu-inl.h"
#include "core/ops/vector-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

template <typename T, class F>
HWY_INLINE void map(const T* x, T* y, std::int64_t n, const F& f) {
  for_vectors<T>(n, [&](auto access, std::int64_t i) HWY_ATTR { access.store(f(access.load(x + i)), y + i); });
}

template <typename T>
void unary(UnaryKind kind, const T* x, T* y, std::int64_t n, double parameter) {
  using V = hn::Vec<Lanes<T>>;
  const Lanes<T> d;
  switch (kind) {
    case UnaryKind::kNeg:
      return map(x, y, n, [](V v) HWY_ATTR { return hn::Neg(v); });
    case UnaryKind::kExp:
      return map(x, y, n, [](V v) HWY_ATTR { return exp_of<T>(v); });
    case UnaryKind::kLog:
      return map(x, y, n, [](V v) HWY_ATTR { return log_of<T>(v); });
    case UnaryKind::kSqrt:
      return map(x, y, n, [](V v) HWY_ATTR { return hn::Sqrt(v); });
    case UnaryKind::kTanh:
      return map(x, y, n, [d](V v) HWY_ATTR { return hn::Tanh(d, v); });
    case UnaryKind::kRelu:  // NaN stays
      return map(x, y, n, [d](V v) HWY_ATTR { return hn::IfThenZeroElse(hn::Le(v, hn::Zero(d)), v); });
    case UnaryKind::kGelu:
      return map(x, y, n, [](V v) HWY_ATTR { return hn::Mul(v, gelu_sigmoid<T>(v, hn::Mul(v, v))); });
    case UnaryKind::kSilu:
      return map(x, y, n, [](V v) HWY_ATTR { return hn::Mul(v, sigmoid_of<T>(v)); });
    case UnaryKind::kSquare:
      return map(x, y, n, [](V v) HWY_ATTR { return hn::Mul(v, v); });
    case UnaryKind::kScale: {
      const V factor = hn::Set(d, static_cast<Compute<T>>(parameter));
      return map(x, y, n, [factor](V v) HWY_ATTR { return hn::Mul(v, factor); });
    }
    case UnaryKind::kAddScalar: {
      const V addend = hn::Set(d, static_cast<Compute<T>>(parameter));
      return map(x, y, n, [addend](V v) HWY_ATTR { return hn::Add(v, addend); });
    }
  }
}

template <typename T, class F>
HWY_INLINE void zip(const T* a, std::int64_t a_step, const T* b, std::int64_t b_step, T* y, std::int64_t n,
                    const F& f) {
  if (n == 0) return;
  const auto first = hn::Set(Lanes<T>(), static_cast<Compute<T>>(a[0]));
  const auto second = hn::Set(Lanes<T>(), static_cast<Compute<T>>(b[0]));
  const auto loop = [&](const auto& load_a, const auto& load_b) HWY_ATTR {
    for_vectors<T>(
        n, [&](auto access, std::int64_t i) HWY_ATTR { access.store(f(load_a(access, i), load_b(access, i)), y + i); });
  };
  const auto each_a = [a](auto access, std::int64_t i) HWY_ATTR { return access.load(a + i); };
  const auto each_b = [b](auto access, std::int64_t i) HWY_ATTR { return access.load(b + i); };
  const auto same_a = [first](auto, std::int64_t) HWY_ATTR { return first; };
  const auto same_b = [second](auto, std::int64_t) HWY_ATTR { return second; };
  if (a_step != 0 && b_step != 0) return loop(each_a, each_b);
  if (a_step != 0) return loop(each_a, same_b);
  if (b_step != 0) return loop(same_a, each_b);
  loop(same_a, same_b);
}

template <typename T, class V>
HWY_INLINE V gelu_gradient(V x, V dy) {
  const Lanes<T> d;
  const V squared = hn::Mul(x, x);
  const V s = gelu_sigmoid<T>(x, squared);
  const V slope = hn::MulAdd(hn::Set(d, static_cast<Compute<T>>(3 * kGeluCubic * kTwoSqrtTwoOverPi)), squared,
                             hn::Set(d, static_cast<Compute<T>>(kTwoSqrtTwoOverPi)));
  const V s_slope = hn::NegMulAdd(s, s, s);
  return hn::Mul(dy, hn::MulAdd(hn::Mul(x, s_slope), slope, s));
}

template <typename T>
void binary(BinaryKind kind, const T* a, std::int64_t a_step, const T* b, std::int64_t b_step, T* y, std::int64_t n) {
  using V = hn::Vec<Lanes<T>>;
  const Lanes<T> d;
  const auto run = [&](const auto& f) HWY_ATTR { zip(a, a_step, b, b_step, y, n, f); };
  switch (kind) {
    case BinaryKind::kAdd:
      return run([](V u, V v) HWY_ATTR { return hn::Add(u, v); });
    case BinaryKind::kSub:
      return run([](V u, V v) HWY_ATTR { return hn::Sub(u, v); });
    case BinaryKind::kMul:
      return run([](V u, V v) HWY_ATTR { return hn::Mul(u, v); });
    case BinaryKind::kDiv:
      return run([](V u, V v) HWY_ATTR { return hn::Div(u, v); });
    case BinaryKind::kMaximum:  // NaN wins
      return run([](V u, V v) HWY_ATTR { return hn::IfThenElse(hn::Or(hn::Ge(u, v), hn::IsNaN(u)), u, v); });
    case BinaryKind::kGreaterEqual:
      return run([d](V u, V v) HWY_ATTR { return hn::IfThenElseZero(hn::Ge(u, v), hn::Set(d, Compute<T>{1})); });
    case BinaryKind::kGeluBackward:
      return run([](V x, V dy) HWY_ATTR { return gelu_gradient<T>(x, dy); });
    case BinaryKind::kSiluBackward:
      return run([](V x, V dy) HWY_ATTR { return hn::Mul(dy, silu_slope<T>(x, sigmoid_of<T>(x))); });
    case BinaryKind::kReluBackward:
      return run([d](V out, V dy) HWY_ATTR { return hn::IfThenZeroElse(hn::Le(out, hn::Zero(d)), dy); });
  }
}

template <typename T>
void accumulate(const T* x, Compute<T>* sums, std::int64_t n) {
  for_vectors<T>(n, [&](auto access, std::int64_t i)
                        HWY_ATTR { access.store(hn::Add(access.load(sums + i), access.load(x + i)), sums + i); });
}

void unary_f32(UnaryKind kind, const float* x, float* y, std::int64_t n, double parameter) {
  unary(kind, x, y, n, parameter);
}
void unary_f64(UnaryKind kind, const double* x, double* y, std::int64_t n, double parameter) {
  unary(kind, x, y, n, parameter);
}
void unary_bf16(UnaryKind kind, const bfloat16* x, bfloat16* y, std::int64_t n, double parameter) {
  unary(kind, x, y, n, parameter);
}
void binary_f32(BinaryKind kind, const float* a, std::int64_t a_step, const float* b, std::int64_t b_step, float* y,
                std::int64_t n) {
  binary(kind, a, a_step, b, b_step, y, n);
}
void binary_f64(BinaryKind kind, const double* a, std::int64_t a_step, const double* b, std::int64_t b_step, double* y,
                std::int64_t n) {
  binary(kind, a, a_step, b, b_step, y, n);
}
void binary_bf16(BinaryKind kind, const bfloat16* a, std::int64_t a_step, const bfloat16* b, std::int64_t b_step,
                 bfloat16* y, std::int64_t n) {
  binary(kind, a, a_step, b, b_step, y, n);
}

void accumulate_f32(const float* x, float* sums, std::int64_t n) { accumulate(x, sums, n); }
void accumulate_f64(const double* x, double* sums, std::int64_t n) { accumulate(x, sums, n); }
void accumulate_bf16(const bfloat16* x, float* sums, std::int64_t n) { accumulate(x, sums, n); }

void widen(const bfloat16* x, float* y, std::int64_t n) {
  for_vectors<float>(n, [&](auto access, std::int64_t i) HWY_ATTR { access.store(access.load(x + i), y + i); });
}
void narrow(const float* x, bfloat16* y, std::int64_t n) {
  for_vectors<float>(n, [&](auto access, std::int64_t i) HWY_ATTR { access.store(access.load(x + i), y + i); });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convoy {

HWY_EXPORT(unary_f32);
HWY_EXPORT(unary_f64);
HWY_EXPORT(unary_bf16);
HWY_EXPORT(binary_f32);
HWY_EXPORT(binary_f64);
HWY_EXPORT(binary_bf16);
HWY_EXPORT(accumulate_f32);
HWY_EXPORT(accumulate_f64);
HWY_EXPORT(accumulate_bf16);
HWY_EXPORT(widen);
HWY_EXPORT(narrow);

void unary_kernel(UnaryKind kind, const float* x, float* y, std::int64_t n, double parameter) {
  HWY_DYNAMIC_DISPATCH(unary_f32)(kind, x, y, n, parameter);
}
void unary_kernel(UnaryKind kind, const double* x, double* y, std::int64_t n, double parameter) {
  HWY_DYNAMIC_DISPATCH(unary_f64)(kind, x, y, n, parameter);
}
void unary_kernel(UnaryKind kind, const bfloat16* x, bfloat16* y, std::int64_t n, double parameter) {
  HWY_DYNAMIC_DISPATCH(unary_bf16)(kind, x, y, n, parameter);
}
void binary_kernel(BinaryKind kind, const float* a, std::int64_t a_step, const float* b, std::int64_t b_step, float* y,
                   std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(binary_f32)(kind, a, a_step, b, b_step, y, n);
}
void binary_kernel(BinaryKind kind, const double* a, std::int64_t a_step, const double* b, std::int64_t b_step,
                   double* y, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(binary_f64)(kind, a, a_step, b, b_step, y, n);
}
void binary_kernel(BinaryKind kind, const bfloat16* a, std::int64_t a_step, const bfloat16* b, std::int64_t b_step,
                   bfloat16* y, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(binary_bf16)(kind, a, a_step, b, b_step, y, n);
}
void accumulate_kernel(const float* x, float* sums, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(accumulate_f32)(x, sums, n);
}
void accumulate_kernel(const double* x, double* sums, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(accumulate_f64)(x, sums, n);
}
void accumulate_kernel(const bfloat16* x, float* sums, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(accumulate_bf16)(x, sums, n);
}
void convert_kernel(const bfloat16* x, float* y, std::int64_t n) { HWY_DYNAMIC_DISPATCH(widen)(x, y, n); }
void convert_kernel(const float* x, bfloat16* y, std::int64_t n) { HWY_DYNAMIC_DISPATCH(narrow)(x, y, n); }

}  // namespace convoy
#endif
