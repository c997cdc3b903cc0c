// What the backward passes of the norms share: rows whose gradients also add up to a parameter's, column by column.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "core/ops/kernel.h"
#include "core/ops/reduce_kernels.h"
#include "core/tensor/tensor.h"

namespace convoy {

// Calls body(first row, rows, sums) for blocks of rows on the device's threads: it fills sums, [totals.size(), width]
// of C, with its rows' terms. totals[k], [width] of C, gets what all blocks have in sums[k], added in their order.
template <typename C, typename Body>
void for_row_blocks(const KernelArgs& args, std::int64_t rows, std::int64_t width, std::span<const Tensor> totals,
                    const Body& body) {
  constexpr std::int64_t kRows = 64;
  const std::int64_t blocks = (rows + kRows - 1) / kRows;
  const std::int64_t stride = static_cast<std::int64_t>(totals.size()) * width;
  const Tensor sums = Tensor::empty({totals[0].dtype(), {blocks, stride}, &args.device});
  parallel_for(threads_of(args), blocks, row_grain(width * kRows), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block)
      body(block * kRows, std::min(kRows, rows - block * kRows), sums.data<C>() + block * stride);
  });
  for (std::size_t k = 0; k < totals.size(); ++k)
    column_sums_kernel(sums.data<C>() + static_cast<std::int64_t>(k) * width, blocks, width, stride,
                       totals[k].data<C>());
}

}  // namespace convoy
