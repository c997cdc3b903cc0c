// What the backward passes of the norms share: rows whose gradients also add up to a parameter's, column by column.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/ops/kernel.h"
#include "core/ops/reduce_kernels.h"
#include "core/tensor/tensor.h"

namespace convoy {

// Rows in blocks, each of which sums its rows' terms for `totals.size()` vectors of the rows' width; C computes.
template <typename C>
class RowBlocks {
 public:
  // totals[k], [width] of C, gets what all blocks have in sums[k], added in their order.
  RowBlocks(const PrepareArgs& args, std::int64_t rows, std::int64_t width, std::span<const Tensor> totals)
      : rows_(rows),
        width_(width),
        blocks_((rows + kRows - 1) / kRows),
        stride_(static_cast<std::int64_t>(totals.size()) * width),
        threads_(threads_of(args)),
        sums_(args.scratch.take<C>(blocks_ * stride_)) {
    for (const Tensor& total : totals) totals_[count_++] = total.data<C>();
  }

  // Calls body(first row, rows, sums) for every block on the device's threads: it fills sums, [totals.size(), width].
  template <typename Body>
  void for_each(const Body& body) const {
    parallel_for(threads_, blocks_, row_grain(width_ * kRows), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t block = begin; block < end; ++block)
        body(block * kRows, std::min(kRows, rows_ - block * kRows), sums_ + block * stride_);
    });
    for (std::size_t k = 0; k < count_; ++k)
      column_sums_kernel(sums_ + static_cast<std::int64_t>(k) * width_, blocks_, width_, stride_, totals_[k]);
  }

 private:
  static constexpr std::int64_t kRows = 64;
  std::int64_t rows_, width_, blocks_, stride_;
  int threads_;
  C* sums_;
  std::array<C*, 2> totals_{};
  std::size_t count_ = 0;
};

}  // namespace convoy
