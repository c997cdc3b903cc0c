// Products of bf16 by oneDNN's kernels, for processors that have instructions for it (AVX512_BF16, AMX).
//
// The result is cut into pieces, some rows by some columns each, on a grid that only the shapes decide, and every piece
// runs on one thread: no bit can depend on how oneDNN would divide the work itself.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "core/device/scratch.h"
#include "core/ops/packed_gemm.h"

namespace convoy {

// Puts weights b [k, n], f32 or bf16, into the form in which products read them: bf16, in oneDNN's own blocks. Of `b`
// counts how it lies in memory, not where. Throws Error(kInternal) for what oneDNN refuses.
class NativeForm {
 public:
  NativeForm(CpuDevice& device, std::int64_t k, std::int64_t n, const GemmOperand& b);
  ~NativeForm();
  NativeForm(NativeForm&&) noexcept;

  std::size_t bytes() const { return bytes_; }
  // Only from the thread that runs the device's kernels.
  void make(const void* b, void* form) const;

 private:
  struct Strip;
  CpuDevice& device_;
  std::size_t bytes_ = 0;
  std::vector<Strip> strips_;
};

// A product y = activation(a·b + bias) of a bf16 `a`, ready to run. k ≥ 1; an f32 `b` has to be prepared, by
// NativeForm. Throws Error(kInternal) for what oneDNN refuses.
class NativeGemm {
 public:
  // Pointers of the problem do not count, only whether there are a bias and a z.
  NativeGemm(CpuDevice& device, Scratch& scratch, const GemmProblem& problem);
  ~NativeGemm();

  // The same problem, of which the pointers are read now. Only from the thread that runs the device's kernels.
  void run(const GemmProblem& problem) const;

 private:
  class Grid;
  CpuDevice& device_;
  std::unique_ptr<Grid> grid_;
};

}  // namespace convoy
