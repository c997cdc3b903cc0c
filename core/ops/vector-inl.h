// What the vector kernels share: whole and partial loads, exp and log with every special value right, and the one
// order in which a row is summed. Included once per instruction set.
#if defined(CONVOY_CORE_OPS_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOY_CORE_OPS_VECTOR_INL_H_
#undef CONVOY_CORE_OPS_VECTOR_INL_H_
#else
#define CONVOY_CORE_OPS_VECTOR_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
using Lanes = hn::ScalableTag<T>;

template <typename T>
constexpr std::int64_t lanes() {
  return HWY_LANES(T);
}

// How a kernel's loop body touches memory: whole vectors, then a part of one at the end. A part's other lanes load as
// zero; lanes do not mix, so an element's bits are the same in either.
template <typename T>
struct Whole {
  using V = hn::Vec<Lanes<T>>;
  HWY_INLINE V load(const T* from) const { return hn::LoadU(Lanes<T>(), from); }
  HWY_INLINE void store(V value, T* to) const { hn::StoreU(value, Lanes<T>(), to); }
  HWY_INLINE V only(V value) const { return value; }
};

template <typename T>
struct Part {
  using V = hn::Vec<Lanes<T>>;
  explicit HWY_INLINE Part(std::int64_t count) : mask(hn::FirstN(Lanes<T>(), static_cast<std::size_t>(count))) {}
  HWY_INLINE V load(const T* from) const { return hn::MaskedLoad(mask, Lanes<T>(), from); }
  HWY_INLINE void store(V value, T* to) const { hn::BlendedStore(value, mask, Lanes<T>(), to); }
  HWY_INLINE V only(V value) const { return hn::IfThenElseZero(mask, value); }
  hn::Mask<Lanes<T>> mask;
};

// body(access, i) for i over [0, n) in steps of a vector.
template <typename T, class Body>
HWY_INLINE void for_vectors(std::int64_t n, const Body& body) {
  constexpr std::int64_t kLanes = lanes<T>();
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(Whole<T>(), i);
  if (i < n) body(Part<T>(n - i), i);
}

constexpr std::int64_t kSumLanes = 16;
constexpr std::int64_t kSumBlock = 1024;

// 16 partial sums, whatever the vector's width, added up as a tree.
template <typename T>
class Partials {
 public:
  using V = hn::Vec<Lanes<T>>;
  static constexpr std::int64_t kVectors = kSumLanes / lanes<T>();

  HWY_INLINE Partials() {
    for (V& sum : sums_) sum = hn::Zero(Lanes<T>());
  }
  HWY_INLINE V& operator[](std::int64_t i) { return sums_[i]; }
  HWY_INLINE T total() const {
    alignas(64) T values[kSumLanes];
    for (std::int64_t k = 0; k < kVectors; ++k) hn::Store(sums_[k], Lanes<T>(), values + k * lanes<T>());
    for (std::int64_t half = kSumLanes / 2; half > 0; half /= 2) {
      for (std::int64_t i = 0; i < half; ++i) values[i] += values[i + half];
    }
    return values[0];
  }

 private:
  V sums_[kVectors];
};

// body(access, i, slot) for i over [0, n): element i + j of the row belongs to lane j of partial sum `slot`.
template <typename T, class Body>
HWY_INLINE void for_partials(std::int64_t n, const Body& body) {
  constexpr std::int64_t kLanes = lanes<T>();
  std::int64_t i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes) {
    for (std::int64_t k = 0; k < Partials<T>::kVectors; ++k) body(Whole<T>(), i + k * kLanes, k);
  }
  for (std::int64_t k = 0; i < n; i += kLanes, ++k) {
    if (i + kLanes <= n) {
      body(Whole<T>(), i, k);
    } else {
      body(Part<T>(n - i), i, k);
    }
  }
}

// The sum over i in [0, n) of term(access, i), a vector whose lanes beyond the row are zero. Long rows add up blocks
// in fp64, which keeps fp32 sums accurate.
template <typename T, class Term>
HWY_INLINE double sum_terms(std::int64_t n, const Term& term) {
  double total = 0;
  for (std::int64_t begin = 0; begin < n; begin += kSumBlock) {
    Partials<T> sums;
    for_partials<T>(std::min(kSumBlock, n - begin), [&](auto access, std::int64_t i, std::int64_t slot) HWY_ATTR {
      sums[slot] = hn::Add(sums[slot], term(access, begin + i));
    });
    total += static_cast<double>(sums.total());
  }
  return total;
}

// e^x within 1 ulp; NaN stays NaN, what is too large is infinite, what is too small is zero.
template <typename T, class V = hn::Vec<Lanes<T>>>
HWY_INLINE V exp_of(V x) {
  const Lanes<T> d;
  constexpr bool kSingle = sizeof(T) == 4;
  const V low = hn::Set(d, static_cast<T>(kSingle ? -105 : -1001));  // hn::Exp gives zero
  const V high = hn::Set(d, static_cast<T>(kSingle ? 89 : 710));     // hn::Exp gives infinity
  const V y = hn::Exp(d, hn::Min(hn::Max(x, low), high));
  return hn::IfThenElse(hn::Eq(x, x), y, x);
}

// ln x within 4 ulp; ln 0 is -infinity, NaN for what is negative.
template <typename T, class V = hn::Vec<Lanes<T>>>
HWY_INLINE V log_of(V x) {
  const Lanes<T> d;
  const V zero = hn::Zero(d);
  const V infinity = hn::Set(d, std::numeric_limits<T>::infinity());
  V y = hn::Log(d, x);
  y = hn::IfThenElse(hn::Lt(x, infinity), y, x);  // infinity and NaN
  y = hn::IfThenElse(hn::Eq(x, zero), hn::Neg(infinity), y);
  return hn::IfThenElse(hn::Lt(x, zero), hn::Set(d, std::numeric_limits<T>::quiet_NaN()), y);
}

}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#endif
