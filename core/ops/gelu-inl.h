// GELU on vectors, for kernels that end in it. Included once per instruction set.
#if defined(CONVOY_CORE_OPS_GELU_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOY_CORE_OPS_GELU_INL_H_
#undef CONVOY_CORE_OPS_GELU_INL_H_
#else
#define CONVOY_CORE_OPS_GELU_INL_H_
#endif

#include "core/ops/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {

// GELU(x) = x·σ(2u) with u = √(2/π)·(x + 0.044715·x³): one exp, and accurate where tanh would cancel.
constexpr double kTwoSqrtTwoOverPi = 1.5957691216057307117597842397375;
constexpr double kGeluCubic = 0.044715;

template <typename T, class V>
HWY_INLINE V gelu_sigmoid(V x, V x_squared) {
  const Lanes<T> d;
  const V inner = hn::MulAdd(hn::Set(d, static_cast<Compute<T>>(kTwoSqrtTwoOverPi * kGeluCubic)), x_squared,
                             hn::Set(d, static_cast<Compute<T>>(kTwoSqrtTwoOverPi)));
  const V one = hn::Set(d, Compute<T>{1});
  return hn::Div(one, hn::Add(one, exp_of<T>(hn::Neg(hn::Mul(inner, x)))));
}

}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#endif
