// The inner kernel of own matrix products: a tile of the result in registers. For inclusion in sources that Highway
// compiles once a target.
//
// Every element of the result is one chain of fused multiply-adds along k, so its bits depend on neither the tile's
// shape nor the vector length.
#if defined(CONVOY_CORE_OPS_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOY_CORE_OPS_GEMM_INL_H_
#undef CONVOY_CORE_OPS_GEMM_INL_H_
#else
#define CONVOY_CORE_OPS_GEMM_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "core/ops/fetch_ahead.h"
#include "core/ops/vector-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {

// A tile is kTileRows rows (or kRowUnit, what is left of them) by kTileVectors (or fewer): 6 × 4 accumulators and what
// they are made of fit 32 registers, 6 × 2 fit 16. The more vectors, the fewer instructions beside the multiply-adds:
// a left element is spread over a register once for all of them.
constexpr std::int64_t kRowUnit = 4;
constexpr std::int64_t kTileRows = 6;
constexpr int kTileVectors = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
template <typename T>
constexpr std::int64_t kPanel = lanes<T>() * kTileVectors;

// Element (m, k) of the left operand lies at data[m · row + k · step].
template <typename T>
struct Left {
  const T* data;
  std::int64_t row;
  std::int64_t step;
};

// Row-major, rows `row` apart.
template <typename T>
struct Rows {
  T* data;
  std::int64_t row;
};

// Lines that a tile over k steps fetches: one every kFetchSteps.
constexpr std::int64_t kFetchSteps = 2;
constexpr std::int64_t fetches_of(std::int64_t k) { return k / kFetchSteps; }

// sums += a column of the left operand times a row of the right one. Without the pragmas g++ keeps sums in memory.
template <int kRows, int kVectors, typename T>
HWY_INLINE void multiply_step(const T* left, std::int64_t row, const T* right,
                              hn::Vec<Lanes<T>> (&sums)[kRows][kVectors]) {
  const Lanes<T> d;
  hn::Vec<Lanes<T>> line[kVectors];
#pragma GCC unroll 4
  for (int n = 0; n < kVectors; ++n) line[n] = hn::LoadU(d, right + n * lanes<T>());
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) {
    const auto factor = hn::Set(d, left[m * row]);
#pragma GCC unroll 4
    for (int n = 0; n < kVectors; ++n) sums[m][n] = hn::MulAdd(factor, line[n], sums[m][n]);
  }
}

template <int kRows, int kVectors, bool kAdd, typename T>
HWY_INLINE void multiply_tile(const Left<T> a, const Rows<const T> b, std::int64_t k, const Rows<T> c, Fetch fetch) {
  const Lanes<T> d;
  hn::Vec<Lanes<T>> sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < kVectors; ++n) {
      if constexpr (kAdd) {
        sums[m][n] = hn::LoadU(d, c.data + m * c.row + n * lanes<T>());
      } else {
        sums[m][n] = hn::Zero(d);
      }
    }
  }
  const T* left = a.data;
  const T* right = b.data;
  std::int64_t i = 0;
  for (; i + kFetchSteps <= k; i += kFetchSteps, fetch.line += fetch.step) {
    constexpr int kSecondLevel = 2;
    __builtin_prefetch(fetch.line, 0, kSecondLevel);
#pragma GCC unroll 4
    for (int s = 0; s < kFetchSteps; ++s, left += a.step, right += b.row)
      multiply_step<kRows, kVectors>(left, a.row, right, sums);
  }
  for (; i < k; ++i, left += a.step, right += b.row) multiply_step<kRows, kVectors>(left, a.row, right, sums);
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < kVectors; ++n) hn::StoreU(sums[m][n], d, c.data + m * c.row + n * lanes<T>());
  }
}

template <int kVectors, bool kAdd, typename T>
HWY_INLINE void multiply_vectors(const Left<T> a, const Rows<const T> b, std::int64_t k, const Rows<T> c,
                                 std::int64_t rows, std::int64_t columns, Fetch fetch) {
  if constexpr (kVectors > 1) {
    if (columns <= (kVectors - 1) * lanes<T>())
      return multiply_vectors<kVectors - 1, kAdd>(a, b, k, c, rows, columns, fetch);
  }
  if (rows > kRowUnit) {
    multiply_tile<kTileRows, kVectors, kAdd>(a, b, k, c, fetch);
  } else {
    multiply_tile<kRowUnit, kVectors, kAdd>(a, b, k, c, fetch);
  }
}

template <bool kAdd, typename T>
HWY_NOINLINE void multiply(const Left<T> a, const Rows<const T> b, std::int64_t k, const Rows<T> c, std::int64_t rows,
                           std::int64_t columns, Fetch fetch) {
  if (fetch.line == nullptr) fetch = {reinterpret_cast<const std::byte*>(b.data), 0};  // which is there
  multiply_vectors<kTileVectors, kAdd>(a, b, k, c, rows, columns, fetch);
}

// c = a·b, or c += a·b: of `rows` kTileRows, or kRowUnit if there are no more; of `columns` kPanel, or as many whole
// vectors as they need; a, b and c must have that much room.
template <typename T>
HWY_INLINE void multiply(const Left<T> a, const Rows<const T> b, std::int64_t k, const Rows<T> c, std::int64_t rows,
                         std::int64_t columns, bool add, Fetch fetch = {}) {
  if (add) {
    multiply<true>(a, b, k, c, rows, columns, fetch);
  } else {
    multiply<false>(a, b, k, c, rows, columns, fetch);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#endif
