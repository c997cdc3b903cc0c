// Products of row-major matrices: what core/ops/matmul.cpp runs. Bits depend on the problem alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/device/cpu_device.h"

namespace convoy {

// c = a·b (+ bias) (then relu) for `batch` products: a is [m, k] ([k, m] if transposed), b [k, n] ([n, k]), c [m, n],
// all without gaps; the bias [n] is added to every row.
struct MatmulProblem {
  std::int64_t batch = 1;
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  bool relu = false;
};

// `bias` may be null. Only from the thread that runs the device's kernels.
void matmul_kernel(CpuDevice& device, const MatmulProblem& problem, const float* a, const float* b, const float* bias,
                   float* c);
void matmul_kernel(CpuDevice& device, const MatmulProblem& problem, const double* a, const double* b,
                   const double* bias, double* c);

// How many oneDNN primitives the device holds ready.
std::size_t prepared_matmuls(CpuDevice& device);

}  // namespace convoy
