// Sums of contiguous rows and columns, in the one order that the shape fixes: blocks in the type that elements are
// computed in, blocks added in fp64. One thread.
#pragma once

#include <cstdint>

#include "core/tensor/bfloat16.h"

namespace convoy {

// The grid that sums are added on. A row goes in blocks, each added up in lanes; blocks are added in fp64, first those
// of a stretch of the row, then the stretches. A column goes in blocks of rows.
constexpr std::int64_t kRowSumBlock = 1024;
constexpr std::int64_t kRowSumStretch = 65536;
constexpr std::int64_t kColumnSumBlock = 64;

// sums[r] = the sum of row r of x [rows, n].
void row_sums_kernel(const float* x, std::int64_t rows, std::int64_t n, double* sums);
void row_sums_kernel(const double* x, std::int64_t rows, std::int64_t n, double* sums);
void row_sums_kernel(const bfloat16* x, std::int64_t rows, std::int64_t n, double* sums);

// sums[c] = the sum of column c of x [rows, columns], whose rows lie `stride` elements apart.
void column_sums_kernel(const float* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, float* sums);
void column_sums_kernel(const double* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, double* sums);
void column_sums_kernel(const bfloat16* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, float* sums);

}  // namespace convoy
