// What the vector kernels share: whole and partial loads, exp and log with every special value right, and the one
// order in which a row is summed. Included once per instruction set.
//
// A kernel template on the element type T serves bfloat16 as well if it keeps to these rules: vectors are Lanes<T>,
// i.e. of Compute<T>; memory is touched through `access` (for_vectors, for_partials) or converted by static_cast;
// constants, scalars and sums are Compute<T>, scratch that is added to as well; so each result is rounded once, at
// its store. Parameters, their gradients and statistics of bfloat16 activations are float: they too are Compute<T>.
#if defined(CONVOY_CORE_OPS_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOY_CORE_OPS_VECTOR_INL_H_
#undef CONVOY_CORE_OPS_VECTOR_INL_H_
#else
#define CONVOY_CORE_OPS_VECTOR_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/tensor/bfloat16.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The vectors that hold elements of T while a kernel computes: of floats for bfloat16.
template <typename T>
using Lanes = hn::ScalableTag<Compute<T>>;

template <typename T>
constexpr std::int64_t lanes() {
  return HWY_LANES(Compute<T>);
}

// As many bfloat16 as a vector has floats, in half a vector.
using HalfLanes = hn::Rebind<std::uint16_t, Lanes<float>>;

HWY_INLINE hn::Vec<Lanes<float>> widened(hn::Vec<HalfLanes> bits) {
  const hn::Repartition<std::uint32_t, Lanes<float>> words;
  return hn::BitCast(Lanes<float>(), hn::ShiftLeft<16>(hn::PromoteTo(words, bits)));
}

// To the nearest, ties to even; NaN stays: as bfloat16's constructor does.
HWY_INLINE hn::Vec<HalfLanes> narrowed(hn::Vec<Lanes<float>> value) {
  const hn::Repartition<std::uint32_t, Lanes<float>> words;
  const hn::Repartition<std::int32_t, Lanes<float>> signed_words;
  const auto bits = hn::BitCast(words, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1u));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(words, 0x7FFFu)));
  const auto quiet = hn::Or(bits, hn::Set(words, 0x400000u));
  const auto chosen = hn::IfThenElse(hn::RebindMask(words, hn::Eq(value, value)), rounded, quiet);
  return hn::DemoteTo(HalfLanes(), hn::BitCast(signed_words, hn::ShiftRight<16>(chosen)));
}

HWY_INLINE std::uint16_t* bits_of(bfloat16* x) { return reinterpret_cast<std::uint16_t*>(x); }
HWY_INLINE const std::uint16_t* bits_of(const bfloat16* x) { return reinterpret_cast<const std::uint16_t*>(x); }

// How a kernel's loop body touches memory: whole vectors, then a part of one at the end. A part's other lanes load as
// zero; lanes do not mix, so an element's bits are the same in either. T is what is computed in; elements may be T or,
// for float, bfloat16, in any mixture: a bfloat16 is widened when loaded and rounded once when stored.
template <typename T>
struct Whole {
  using V = hn::Vec<Lanes<T>>;
  HWY_INLINE V load(const T* from) const { return hn::LoadU(Lanes<T>(), from); }
  HWY_INLINE V load(const bfloat16* from) const { return widened(hn::LoadU(HalfLanes(), bits_of(from))); }
  HWY_INLINE void store(V value, T* to) const { hn::StoreU(value, Lanes<T>(), to); }
  HWY_INLINE void store(V value, bfloat16* to) const { hn::StoreU(narrowed(value), HalfLanes(), bits_of(to)); }
  HWY_INLINE V only(V value) const { return value; }
};

template <typename T>
struct Part {
  using V = hn::Vec<Lanes<T>>;
  explicit HWY_INLINE Part(std::int64_t n) : mask(hn::FirstN(Lanes<T>(), static_cast<std::size_t>(n))), count(n) {}
  HWY_INLINE V load(const T* from) const { return hn::MaskedLoad(mask, Lanes<T>(), from); }
  // Highway's masked access to 16-bit elements reaches beyond the mask on most targets.
  HWY_INLINE V load(const bfloat16* from) const {
    alignas(64) bfloat16 elements[lanes<T>()] = {};
    for (std::int64_t i = 0; i < count; ++i) elements[i] = from[i];
    return widened(hn::Load(HalfLanes(), bits_of(elements)));
  }
  HWY_INLINE void store(V value, T* to) const { hn::BlendedStore(value, mask, Lanes<T>(), to); }
  HWY_INLINE void store(V value, bfloat16* to) const {
    alignas(64) bfloat16 elements[lanes<T>()];
    hn::Store(narrowed(value), HalfLanes(), bits_of(elements));
    for (std::int64_t i = 0; i < count; ++i) to[i] = elements[i];
  }
  HWY_INLINE V only(V value) const { return hn::IfThenElseZero(mask, value); }
  hn::Mask<Lanes<T>> mask;
  std::int64_t count;
};

// body(access, i) for i over [0, n) in steps of a vector.
template <typename T, class Body>
HWY_INLINE void for_vectors(std::int64_t n, const Body& body) {
  constexpr std::int64_t kLanes = lanes<T>();
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(Whole<Compute<T>>(), i);
  if (i < n) body(Part<Compute<T>>(n - i), i);
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
  HWY_INLINE Compute<T> total() const {
    alignas(64) Compute<T> values[kSumLanes];
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
    for (std::int64_t k = 0; k < Partials<T>::kVectors; ++k) body(Whole<Compute<T>>(), i + k * kLanes, k);
  }
  // Slots are constants once unrolled, so that the sums stay in registers.
  for (std::int64_t k = 0; k < Partials<T>::kVectors; ++k, i += kLanes) {
    if (i + kLanes <= n) {
      body(Whole<Compute<T>>(), i, k);
    } else if (i < n) {
      body(Part<Compute<T>>(n - i), i, k);
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

// What exp_of needs of a type. The polynomial approximates (e^r - 1 - r) / r² for |r| ≤ ln 2 / 2; its coefficients are
// those of Highway's own exp for f32 and Taylor's for f64.
template <typename T>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  static constexpr float kLow = -104.5f, kHigh = 89.0f;  // zero and infinity beyond
  static constexpr float kRound = 0x1.8p23f;             // adding it rounds to an integer, held in the low bits
  static constexpr float kLn2High = 0.693145751953125f, kLn2Low = 1.428606765330187045e-6f;
  static constexpr int kMantissaBits = 23, kBias = 127;
};
template <>
struct ExpConstants<double> {
  static constexpr double kLow = -746.0, kHigh = 710.0;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLn2High = 0.6931471805596629565116018, kLn2Low = 0.28235290563031577122588448175e-12;
  static constexpr int kMantissaBits = 52, kBias = 1023;
};

template <class V>
HWY_INLINE V exp_polynomial(hn::ScalableTag<float> d, V r) {
  const auto c = [d](float value) HWY_ATTR { return hn::Set(d, value); };
  const V r2 = hn::Mul(r, r);
  const V low = hn::MulAdd(c(0.166666671633720397949219f), r, c(0.5f));
  const V middle = hn::MulAdd(c(0.00833336077630519866943359f), r, c(0.0416664853692054748535156f));
  const V high = hn::MulAdd(c(0.000198527617612853646278381f), r, c(0.00139304355252534151077271f));
  return hn::MulAdd(hn::MulAdd(high, r2, middle), r2, low);
}

template <class V>
HWY_INLINE V exp_polynomial(hn::ScalableTag<double> d, V r) {
  // 1/2!, 1/3!, … 1/13!
  constexpr double kFactors[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                                 1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                                 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
  const V r2 = hn::Mul(r, r);
  V sum = hn::MulAdd(hn::Set(d, kFactors[11]), r, hn::Set(d, kFactors[10]));
  for (int k = 8; k >= 0; k -= 2)
    sum = hn::MulAdd(sum, r2, hn::MulAdd(hn::Set(d, kFactors[k + 1]), r, hn::Set(d, kFactors[k])));
  return sum;
}

// e^x within 2 ulp; NaN stays NaN, what is too large is infinite, what is too small is zero. e^x = 2^q·e^r with q the
// integer nearest x / ln 2; 2^q is made in two halves, each within the exponent's range.
template <typename T, class V = hn::Vec<Lanes<T>>>
HWY_INLINE V exp_of(V x) {
  using C = ExpConstants<Compute<T>>;
  const Lanes<T> d;
  const hn::RebindToSigned<Lanes<T>> di;
  const V clamped = hn::Min(hn::Max(x, hn::Set(d, C::kLow)), hn::Set(d, C::kHigh));
  const V round = hn::Set(d, C::kRound);
  const V rounded = hn::MulAdd(clamped, hn::Set(d, static_cast<Compute<T>>(1.442695040888963407359924681)), round);
  const V q = hn::Sub(rounded, round);
  V r = hn::NegMulAdd(q, hn::Set(d, C::kLn2High), clamped);
  r = hn::NegMulAdd(q, hn::Set(d, C::kLn2Low), r);
  const V power = hn::Add(hn::MulAdd(exp_polynomial(d, r), hn::Mul(r, r), r), hn::Set(d, Compute<T>{1}));
  const auto whole = hn::Sub(hn::BitCast(di, rounded), hn::BitCast(di, round));
  const auto half = hn::ShiftRight<1>(whole);
  const auto bias = hn::Set(di, C::kBias);
  const V scale1 = hn::BitCast(d, hn::ShiftLeft<C::kMantissaBits>(hn::Add(half, bias)));
  const V scale2 = hn::BitCast(d, hn::ShiftLeft<C::kMantissaBits>(hn::Add(hn::Sub(whole, half), bias)));
  return hn::IfThenElse(hn::Eq(x, x), hn::Mul(hn::Mul(power, scale1), scale2), x);
}

// ln x within 4 ulp; ln 0 is -infinity, NaN for what is negative.
template <typename T, class V = hn::Vec<Lanes<T>>>
HWY_INLINE V log_of(V x) {
  const Lanes<T> d;
  const V zero = hn::Zero(d);
  const V infinity = hn::Set(d, std::numeric_limits<Compute<T>>::infinity());
  V y = hn::Log(d, x);
  y = hn::IfThenElse(hn::Lt(x, infinity), y, x);  // infinity and NaN
  y = hn::IfThenElse(hn::Eq(x, zero), hn::Neg(infinity), y);
  return hn::IfThenElse(hn::Lt(x, zero), hn::Set(d, std::numeric_limits<Compute<T>>::quiet_NaN()), y);
}

}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#endif
