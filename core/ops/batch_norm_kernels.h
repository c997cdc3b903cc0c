// Batch normalisation on raw rows, for core/ops/batch_norm.cpp. Rows may be bfloat16; what belongs to a channel is
// float then. One thread each; channels lie innermost, and a lane is a channel, so that bits depend only on how rows
// are cut into chunks.
#pragma once

#include <cstdint>

#include "core/tensor/bfloat16.h"

namespace convoy {

// Rows whose sums one call forms: blocks of kBatchNormBlock rows in Compute<T>, added up in fp64.
constexpr std::int64_t kBatchNormBlock = 32;
constexpr std::int64_t kBatchNormChunk = 256;

// sums[c] += the sum of column c of x [rows, width]; squares[c] += the sum of its squares, each block's formed around
// the block's own mean.
struct ColumnMoments {
  std::int64_t rows, width;
  double *sums, *squares;
};
void column_moments_kernel(const ColumnMoments& a, const float* x);
void column_moments_kernel(const ColumnMoments& a, const double* x);
void column_moments_kernel(const ColumnMoments& a, const bfloat16* x);

// y = relu?(x·scale + offset (+ residual)); `residual` may be null.
template <typename T>
struct BatchNormApply {
  using C = Compute<T>;
  std::int64_t rows, width;
  const T* x;
  const C *scale, *offset;
  const T* residual;
  T* y;
  bool relu;
};
void batch_norm_apply_kernel(const BatchNormApply<float>& a);
void batch_norm_apply_kernel(const BatchNormApply<double>& a);
void batch_norm_apply_kernel(const BatchNormApply<bfloat16>& a);

// With g = dy where relu let it through: sums[c] += Σ g, products[c] += Σ g·(x - mean), over blocks as above. relu is
// decided by y where that is given, otherwise by x·scale + offset. g is written to `g` unless that is null.
template <typename T>
struct BatchNormSums {
  using C = Compute<T>;
  std::int64_t rows, width;
  const T* x;
  const C *scale, *offset, *mean;
  const T *dy, *y;
  bool relu;
  T* g;
  double *sums, *products;
};
void batch_norm_sums_kernel(const BatchNormSums<float>& a);
void batch_norm_sums_kernel(const BatchNormSums<double>& a);
void batch_norm_sums_kernel(const BatchNormSums<bfloat16>& a);

// dx = scale·g + factor·(x - mean) + addend, channel by channel, with g as above (`masked`: dy is g already).
template <typename T>
struct BatchNormGradient {
  using C = Compute<T>;
  std::int64_t rows, width;
  const T* x;
  const C *scale, *offset, *mean;
  const T* dy;
  const C *factor, *addend;
  bool relu;  // dy still has to be masked by x·scale + offset
  T* dx;
};
void batch_norm_gradient_kernel(const BatchNormGradient<float>& a);
void batch_norm_gradient_kernel(const BatchNormGradient<double>& a);
void batch_norm_gradient_kernel(const BatchNormGradient<bfloat16>& a);

}  // namespace convoy
