#include "core/ops/reduce_kernels.h"

#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/reduce_kernels.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
#include "hwy/cache_control.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

template <typename T>
void row_sums(const T* x, std::int64_t rows, std::int64_t n, double* sums) {
  for (std::int64_t row = 0; row < rows; ++row, x += n)
    sums[row] = sum_terms<T>(n, [x](auto access, std::int64_t i) HWY_ATTR { return access.load(x + i); });
}

static_assert(kSumBlock == kRowSumBlock);
constexpr std::int64_t kStrip = 256;  // columns summed together, in the first-level cache
// Rows fetched ahead: a strip of a row is too short, and the next one too far away, for the processor to do so.
constexpr std::int64_t kRowsAhead = 8;

template <typename T>
void column_sums(const T* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, Compute<T>* sums) {
  for (std::int64_t first = 0; first < columns; first += kStrip) {
    const std::int64_t width = std::min(kStrip, columns - first);
    double total[kStrip] = {};
    for (std::int64_t begin = 0; begin < rows; begin += kColumnSumBlock) {
      alignas(64) Compute<T> block[kStrip] = {};
      for (std::int64_t row = begin; row < std::min(rows, begin + kColumnSumBlock); ++row) {
        const T* from = x + row * stride + first;
        for_vectors<T>(width, [&](auto access, std::int64_t i) HWY_ATTR {
          hwy::Prefetch(from + kRowsAhead * stride + i);
          access.store(hn::Add(access.load(block + i), access.load(from + i)), block + i);
        });
      }
      for (std::int64_t i = 0; i < width; ++i) total[i] += static_cast<double>(block[i]);
    }
    for (std::int64_t i = 0; i < width; ++i) sums[first + i] = static_cast<Compute<T>>(total[i]);
  }
}

void row_sums_f32(const float* x, std::int64_t rows, std::int64_t n, double* sums) { row_sums(x, rows, n, sums); }
void row_sums_f64(const double* x, std::int64_t rows, std::int64_t n, double* sums) { row_sums(x, rows, n, sums); }
void row_sums_bf16(const bfloat16* x, std::int64_t rows, std::int64_t n, double* sums) { row_sums(x, rows, n, sums); }
void column_sums_f32(const float* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, float* sums) {
  column_sums(x, rows, columns, stride, sums);
}
void column_sums_f64(const double* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, double* sums) {
  column_sums(x, rows, columns, stride, sums);
}
void column_sums_bf16(const bfloat16* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, float* sums) {
  column_sums(x, rows, columns, stride, sums);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convoy {

HWY_EXPORT(row_sums_f32);
HWY_EXPORT(row_sums_f64);
HWY_EXPORT(row_sums_bf16);
HWY_EXPORT(column_sums_f32);
HWY_EXPORT(column_sums_f64);
HWY_EXPORT(column_sums_bf16);

void row_sums_kernel(const float* x, std::int64_t rows, std::int64_t n, double* sums) {
  HWY_DYNAMIC_DISPATCH(row_sums_f32)(x, rows, n, sums);
}
void row_sums_kernel(const double* x, std::int64_t rows, std::int64_t n, double* sums) {
  HWY_DYNAMIC_DISPATCH(row_sums_f64)(x, rows, n, sums);
}
void row_sums_kernel(const bfloat16* x, std::int64_t rows, std::int64_t n, double* sums) {
  HWY_DYNAMIC_DISPATCH(row_sums_bf16)(x, rows, n, sums);
}
void column_sums_kernel(const float* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, float* sums) {
  HWY_DYNAMIC_DISPATCH(column_sums_f32)(x, rows, columns, stride, sums);
}
void column_sums_kernel(const double* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, double* sums) {
  HWY_DYNAMIC_DISPATCH(column_sums_f64)(x, rows, columns, stride, sums);
}
void column_sums_kernel(const bfloat16* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, float* sums) {
  HWY_DYNAMIC_DISPATCH(column_sums_bf16)(x, rows, columns, stride, sums);
}

}  // namespace convoy
#endif
