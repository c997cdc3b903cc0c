// Own matrix products over packed panels: f32 and bf16 operands in any mixture, all sums in fp32.
//
// Each element of the result is a chain of fused multiply-adds along each block of k, and the blocks are added up in
// order; the blocks depend on k alone. So the bits depend on neither the number of threads nor the other extents.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/device/cpu_device.h"
#include "core/ops/activation.h"
#include "core/tensor/dtype.h"

namespace convoy {

// An operand: f32 or bf16, element (i, j) at data[i · row + j · column], one of the two being 1.
struct GemmOperand {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  std::int64_t row = 0;
  std::int64_t column = 1;
};

// y = activation(a·b + bias), a [m, k], b [k, n], y [m, n] and z (the activation's argument, if wanted) without gaps
// and of the same dtype, f32 or bf16. An f32 operand beside a bf16 `a` is rounded to bf16 first.
struct GemmProblem {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  GemmOperand a;
  GemmOperand b;
  bool b_is_prepared = false;   // b.data is the form that the product asks for
  const float* bias = nullptr;  // [n]
  Activation activation = Activation::kNone;
  DType dtype = DType::kF32;  // of y and z
  void* y = nullptr;
  void* z = nullptr;
};

// `scratch`: packed_gemm_scratch() elements, whatever the problem's pointers, aligned to Device::kAlignment.
void packed_gemm(CpuDevice& device, const GemmProblem& problem, float* scratch);
std::int64_t packed_gemm_scratch(const CpuDevice& device, const GemmProblem& problem);

// The form in which a weight b [k, n] is read: bf16 panels of some columns each, row by row.
std::size_t panel_bytes(std::int64_t k, std::int64_t n);
void prepare_panels(CpuDevice& device, std::int64_t k, std::int64_t n, const GemmOperand& b, void* panels);

}  // namespace convoy
