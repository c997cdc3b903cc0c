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

#include <cstdint>

#include "core/ops/vector-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {

// A tile is kTileRows rows (or kRowUnit, what is left of them) by two vectors (or one): 8 × 2 accumulators hide the
// latency of two multiply-add units and fit 32 registers, 4 × 2 fit 16.
constexpr std::int64_t kRowUnit = 4;
constexpr std::int64_t kTileRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;
template <typename T>
constexpr std::int64_t kPanel = 2 * lanes<T>();

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

template <int kRows, int kVectors, bool kAdd, typename T>
HWY_INLINE void multiply_tile(const Left<T> a, const Rows<const T> b, std::int64_t k, const Rows<T> c) {
  const Lanes<T> d;
  hn::Vec<Lanes<T>> sums[kRows][kVectors];
  // Without the pragmas g++ keeps the sums in memory.
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
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
  for (std::int64_t i = 0; i < k; ++i, left += a.step, right += b.row) {
    hn::Vec<Lanes<T>> line[kVectors];
#pragma GCC unroll 2
    for (int n = 0; n < kVectors; ++n) line[n] = hn::LoadU(d, right + n * lanes<T>());
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m) {
      const auto factor = hn::Set(d, left[m * a.row]);
#pragma GCC unroll 2
      for (int n = 0; n < kVectors; ++n) sums[m][n] = hn::MulAdd(factor, line[n], sums[m][n]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kVectors; ++n) hn::StoreU(sums[m][n], d, c.data + m * c.row + n * lanes<T>());
  }
}

template <bool kAdd, typename T>
HWY_NOINLINE void multiply(const Left<T> a, const Rows<const T> b, std::int64_t k, const Rows<T> c, std::int64_t rows,
                           std::int64_t columns) {
  if (rows > kRowUnit) {
    if (columns > lanes<T>())
      multiply_tile<kTileRows, 2, kAdd>(a, b, k, c);
    else
      multiply_tile<kTileRows, 1, kAdd>(a, b, k, c);
  } else {
    if (columns > lanes<T>())
      multiply_tile<kRowUnit, 2, kAdd>(a, b, k, c);
    else
      multiply_tile<kRowUnit, 1, kAdd>(a, b, k, c);
  }
}

// c = a·b, or c += a·b: `rows` is kTileRows or fewer and rounded up to kRowUnit, `columns` at most kPanel and rounded
// up to whole vectors; a, b and c must have that much room.
template <typename T>
HWY_INLINE void multiply(const Left<T> a, const Rows<const T> b, std::int64_t k, const Rows<T> c, std::int64_t rows,
                         std::int64_t columns, bool add) {
  if (add) {
    multiply<true>(a, b, k, c, rows, columns);
  } else {
    multiply<false>(a, b, k, c, rows, columns);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#endif
