// What the two attention kernels share: copying blocks into scratch, transposing them, and the exponential of scores.
// Included once per instruction set.
#if defined(CONVOY_CORE_OPS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOY_CORE_OPS_ATTENTION_INL_H_
#undef CONVOY_CORE_OPS_ATTENTION_INL_H_
#else
#define CONVOY_CORE_OPS_ATTENTION_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/ops/attention_blocks.h"
#include "core/ops/attention_kernels.h"
#include "core/ops/gemm-inl.h"
#include "core/ops/vector-inl.h"
#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {

// e^x where x is 0 or less, but for rounding: zero below the normal numbers, NaN stays NaN. Within 2 ulp.
template <typename T, class V = hn::Vec<Lanes<T>>>
HWY_INLINE V exp_of_negative(V x) {
  using C = ExpConstants<T>;
  const Lanes<T> d;
  const hn::RebindToSigned<Lanes<T>> di;
  const V round = hn::Set(d, C::kRound);
  const V rounded = hn::MulAdd(x, hn::Set(d, static_cast<T>(1.442695040888963407359924681)), round);
  const V q = hn::Sub(rounded, round);
  V r = hn::NegMulAdd(q, hn::Set(d, C::kLn2High), x);
  r = hn::NegMulAdd(q, hn::Set(d, C::kLn2Low), r);
  const V power = hn::Add(hn::MulAdd(exp_polynomial(d, r), hn::Mul(r, r), r), hn::Set(d, T{1}));
  const auto exponent = hn::ShiftLeft<C::kMantissaBits>(hn::BitCast(di, rounded));
  const V scaled = hn::BitCast(d, hn::Add(hn::BitCast(di, power), exponent));
  const V low = hn::Set(d, sizeof(T) == 4 ? static_cast<T>(-87.0) : static_cast<T>(-708.0));
  return hn::IfThenZeroElse(hn::Lt(x, low), scaled);
}

constexpr std::int64_t kLine = 64;  // bytes

// Rows of a block of a matrix, to be read or written soon.
template <typename S>
void fetch_block(const HeadMatrix<S>& matrix, const AttentionShape& shape, std::int64_t block, FetchQueue& queue) {
  using namespace attention_blocks;
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(S));
  if (matrix.depth_stride != 1) return;
  queue.add(matrix.data + block * kBlock * matrix.time_stride, matrix.time_stride * kBytes, rows_of_block(shape, block),
            shape.depth * kBytes);
}

// Rows [begin, begin + rows) of a matrix, times `factor`, into rows of `width` = padded_depth; zeros right of the
// matrix, and below it up to kBlock rows.
template <typename S, typename T>
HWY_INLINE void pack_rows(const HeadMatrix<S>& from, std::int64_t begin, std::int64_t rows, std::int64_t depth,
                          T factor, T* to, std::int64_t width) {
  using namespace attention_blocks;
  constexpr std::int64_t kRowsAhead = 8;  // fetched before they are packed
  for (std::int64_t i = 0; i < rows; ++i) {
    const S* row = from.data + (begin + i) * from.time_stride;
    T* target = to + i * width;
    if (from.depth_stride == 1) {
      // Rows lie pages apart, where the processor does not look ahead by itself.
      const S* ahead = from.data + (begin + std::min(i + kRowsAhead, rows - 1)) * from.time_stride;
      for (std::int64_t j = 0; j < depth; j += kLine / static_cast<std::int64_t>(sizeof(S))) hwy::Prefetch(ahead + j);
      const auto factors = hn::Set(Lanes<T>(), factor);
      for_vectors<T>(depth, [&](auto access, std::int64_t j)
                                HWY_ATTR { access.store(hn::Mul(access.load(row + j), factors), target + j); });
    } else {
      for (std::int64_t j = 0; j < depth; ++j) target[j] = static_cast<T>(row[j * from.depth_stride]) * factor;
    }
    std::fill(target + depth, target + width, T{0});
  }
  std::fill(to + rows * width, to + kBlock * width, T{0});
}

#if HWY_TARGET == HWY_SCALAR
template <typename T>
constexpr std::int64_t kStripElements = 1;

template <typename T>
HWY_INLINE void transpose_strip(const T* from, std::int64_t, T* to) {
  *to = *from;
}
#else
template <typename T>
constexpr auto kStripElements = static_cast<std::int64_t>(16 / sizeof(T));

// 16 bytes (K elements) of each of a few rows K rows apart, side by side.
template <class D, typename T>
HWY_INLINE hn::Vec<D> load_blocks(D d, const T* from, std::int64_t row_stride) {
  if constexpr (sizeof(T) * hn::MaxLanes(D()) == 16) {
    return hn::LoadU(d, from);
  } else {
    const hn::Half<D> half;
    constexpr auto kRows = static_cast<std::int64_t>(hn::MaxLanes(half));
    return hn::Combine(d, load_blocks(half, from + kRows * row_stride, row_stride),
                       load_blocks(half, from, row_stride));
  }
}

// kStripElements of each of lanes<T>() rows, transposed into rows kPanel<T> apart.
HWY_INLINE void transpose_strip(const float* from, std::int64_t width, float* to) {
  const Lanes<float> d;
  const hn::Repartition<double, Lanes<float>> dd;
  const auto row0 = load_blocks(d, from, width);
  const auto row1 = load_blocks(d, from + width, width);
  const auto row2 = load_blocks(d, from + 2 * width, width);
  const auto row3 = load_blocks(d, from + 3 * width, width);
  const auto low01 = hn::BitCast(dd, hn::InterleaveLower(d, row0, row1));
  const auto low23 = hn::BitCast(dd, hn::InterleaveLower(d, row2, row3));
  const auto high01 = hn::BitCast(dd, hn::InterleaveUpper(d, row0, row1));
  const auto high23 = hn::BitCast(dd, hn::InterleaveUpper(d, row2, row3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dd, low01, low23)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dd, low01, low23)), d, to + kPanel<float>);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dd, high01, high23)), d, to + 2 * kPanel<float>);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dd, high01, high23)), d, to + 3 * kPanel<float>);
}
HWY_INLINE void transpose_strip(const double* from, std::int64_t width, double* to) {
  const Lanes<double> d;
  const auto row0 = load_blocks(d, from, width);
  const auto row1 = load_blocks(d, from + width, width);
  hn::StoreU(hn::InterleaveLower(d, row0, row1), d, to);
  hn::StoreU(hn::InterleaveUpper(d, row0, row1), d, to + kPanel<double>);
}
#endif

// The transpose of a packed block in panels of kPanel columns, each [width, kPanel]: as many panels as `rows` need.
template <typename T>
HWY_INLINE void pack_panels(const T* block, std::int64_t rows, std::int64_t width, T* to) {
  for (std::int64_t begin = 0; begin < rows; begin += kPanel<T>, to += width * kPanel<T>) {
    for (std::int64_t column = 0; column < kPanel<T>; column += lanes<T>()) {
      const T* from = block + (begin + column) * width;
      for (std::int64_t j = 0; j < width; j += kStripElements<T>)
        transpose_strip(from + j, width, to + j * kPanel<T> + column);
    }
  }
}

// Row `row` of a matrix is from[0 … depth) times `factor`.
template <typename S, typename T>
HWY_INLINE void unpack_row(const T* from, std::int64_t depth, T factor, const HeadMatrix<S>& to, std::int64_t row) {
  S* target = to.data + row * to.time_stride;
  if (to.depth_stride == 1) {
    const auto factors = hn::Set(Lanes<T>(), factor);
    for_vectors<T>(depth, [&](auto access, std::int64_t j)
                              HWY_ATTR { access.store(hn::Mul(access.load(from + j), factors), target + j); });
  } else {
    for (std::int64_t j = 0; j < depth; ++j) target[j * to.depth_stride] = static_cast<S>(from[j] * factor);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#endif
