// Products of row-major matrices: what core/ops/matmul.cpp runs. Bits depend on the problem alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/device/cpu_device.h"
#include "core/device/scratch.h"

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

  bool operator==(const MatmulProblem&) const = default;
};

// A product ready to run, of matrices whose places are told then. `bias` is null for none, always or never.
//
// Only from the thread that runs the device's kernels.
class PreparedMatmul {
 public:
  PreparedMatmul(CpuDevice& device, Scratch& scratch, const MatmulProblem& problem, bool bias);
  ~PreparedMatmul();
  PreparedMatmul(PreparedMatmul&&) noexcept;

  void run(const float* a, const float* b, const float* bias, float* c) const;

 private:
  class Piece;
  struct Strips;
  void run_strips(const float* a, const float* b, const float* bias, float* c) const;
  void run_one(const float* a, const float* b, const float* bias, float* c) const;

  CpuDevice& device_;
  MatmulProblem problem_;
  std::int64_t length_;             // of a piece along k
  std::vector<Piece> pieces_;       // none where there is nothing to multiply
  float* product_ = nullptr;        // of all pieces but the first
  std::unique_ptr<Strips> strips_;  // of a wide transposed a
};

// f64: scratch for the columns of a panel, which worker threads share out.
std::int64_t matmul_panels(const MatmulProblem& problem);
std::int64_t matmul_panel_scratch(const MatmulProblem& problem);
void matmul_panel_kernel(const MatmulProblem& problem, std::int64_t panel, const double* a, const double* b,
                         const double* bias, double* c, double* scratch);

// How many oneDNN primitives the device holds ready.
std::size_t prepared_matmuls(CpuDevice& device);

}  // namespace convoy
