// The f64 kernel, for gradient checks: own tiles over packed panels.
#include <algorithm>
#include <cstdint>

#include "core/ops/matmul_kernels.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/matmul_f64.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h: what is compiled once a target.
#include "core/ops/gemm-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

// One panel of columns of one product. Operands are packed, with zeros around them, into whole tiles.
class Panel {
 public:
  static std::int64_t count(const MatmulProblem& p) { return (p.n + kPanel<double> - 1) / kPanel<double>; }
  static std::int64_t scratch(const MatmulProblem& p) { return (p.k + kTileRows) * kPanel<double> + kTileRows * p.k; }

  Panel(const MatmulProblem& problem, std::int64_t index, double* memory)
      : p_(problem),
        column_(index * kPanel<double>),
        columns_(std::min(kPanel<double>, problem.n - column_)),
        right_(memory),
        tile_(right_ + problem.k * kPanel<double>),
        left_(tile_ + kTileRows * kPanel<double>) {}

  void run(const double* a, const double* b, const double* bias, double* c) const {
    for (std::int64_t i = 0; i < p_.k; ++i) {
      for (std::int64_t j = 0; j < kPanel<double>; ++j) {
        const std::int64_t at = p_.transpose_b ? (column_ + j) * p_.k + i : i * p_.n + column_ + j;
        right_[i * kPanel<double> + j] = j < columns_ ? b[at] : 0.0;
      }
    }
    for (std::int64_t row = 0; row < p_.m; row += kTileRows) {
      const std::int64_t rows = std::min(kTileRows, p_.m - row);
      for (std::int64_t i = 0; i < kTileRows; ++i) {
        for (std::int64_t k = 0; k < p_.k; ++k) {
          const std::int64_t at = p_.transpose_a ? k * p_.m + row + i : (row + i) * p_.k + k;
          left_[i * p_.k + k] = i < rows ? a[at] : 0.0;
        }
      }
      multiply<double>({left_, p_.k, 1}, {right_, kPanel<double>}, p_.k, {tile_, kPanel<double>}, rows, columns_,
                       false);
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns_; ++j) {
          const double value = tile_[i * kPanel<double> + j] + (bias != nullptr ? bias[column_ + j] : 0.0);
          c[(row + i) * p_.n + column_ + j] = p_.relu ? std::max(value, 0.0) : value;
        }
      }
    }
  }

 private:
  const MatmulProblem& p_;
  std::int64_t column_;
  std::int64_t columns_;
  double* right_;
  double* tile_;
  double* left_;
};

void run(const MatmulProblem& p, std::int64_t panel, const double* a, const double* b, const double* bias, double* c,
         double* memory) {
  const std::int64_t panels = Panel::count(p);
  const std::int64_t product = panel / panels;
  Panel(p, panel % panels, memory).run(a + product * p.m * p.k, b + product * p.k * p.n, bias, c + product * p.m * p.n);
}

std::int64_t panels(const MatmulProblem& p) { return p.batch * Panel::count(p); }
std::int64_t panel_scratch(const MatmulProblem& p) { return Panel::scratch(p); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convoy {

HWY_EXPORT(run);
HWY_EXPORT(panels);
HWY_EXPORT(panel_scratch);

std::int64_t matmul_panels(const MatmulProblem& problem) { return HWY_DYNAMIC_DISPATCH(panels)(problem); }
std::int64_t matmul_panel_scratch(const MatmulProblem& problem) { return HWY_DYNAMIC_DISPATCH(panel_scratch)(problem); }

void matmul_panel_kernel(const MatmulProblem& problem, std::int64_t panel, const double* a, const double* b,
                         const double* bias, double* c, double* scratch) {
  HWY_DYNAMIC_DISPATCH(run)(problem, panel, a, b, bias, c, scratch);
}

}  // namespace convoy
#endif
