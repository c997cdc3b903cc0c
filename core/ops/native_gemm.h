// Products of bf16 by oneDNN's kernels, for processors that have instructions for it (AVX512_BF16, AMX).
//
// The result is cut into pieces, some rows by some columns each, on a grid that only the shapes decide, and every piece
// runs on one thread: no bit can depend on how oneDNN would divide the work itself.
#pragma once

#include <cstddef>

#include "core/ops/packed_gemm.h"

namespace convoy {

// As packed_gemm(), for a bf16 `a`; prepared operands are those of prepare_native(). Throws Error(kInternal) for what
// oneDNN refuses. Only from the thread that runs the device's kernels.
void native_gemm(CpuDevice& device, const GemmProblem& problem);

// The form in which a weight b [k, n], f32 or bf16, is read: bf16, in oneDNN's own blocks.
std::size_t native_bytes(CpuDevice& device, std::int64_t k, std::int64_t n);
void prepare_native(CpuDevice& device, std::int64_t k, std::int64_t n, const GemmOperand& b, void* form);

}  // namespace convoy
