// The logistic function and what SiLU makes of it. Included once per instruction set.
#if defined(CONVOY_CORE_OPS_SIGMOID_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOY_CORE_OPS_SIGMOID_INL_H_
#undef CONVOY_CORE_OPS_SIGMOID_INL_H_
#else
#define CONVOY_CORE_OPS_SIGMOID_INL_H_
#endif

#include "core/ops/vector-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {

// 1 / (1 + e^-x).
template <typename T, class V = hn::Vec<Lanes<T>>>
HWY_INLINE V sigmoid_of(V x) {
  const V one = hn::Set(Lanes<T>(), Compute<T>{1});
  return hn::Div(one, hn::Add(one, exp_of<T>(hn::Neg(x))));
}

// The derivative of x·σ(x), given s = σ(x): s + x·s·(1 - s).
template <typename T, class V = hn::Vec<Lanes<T>>>
HWY_INLINE V silu_slope(V x, V s) {
  return hn::MulAdd(x, hn::NegMulAdd(s, s, s), s);
}

}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#endif
