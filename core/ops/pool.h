// Pooling over images whose channels lie innermost: x [N, H, W, C], f32, f64 or bf16 (each result is rounded once) →
// [N, H', W', C] with H' = (H + 2·padding - kernel) / stride + 1, rounded down.
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor/tensor.h"

namespace convoy {

// Vertical and horizontal extents. The padding, the same on both sides, is at most half the kernel; a kernel has at
// most 255 places.
struct Pool2dAttributes {
  std::array<std::int64_t, 2> kernel{2, 2};
  std::array<std::int64_t, 2> stride{2, 2};
  std::array<std::int64_t, 2> padding{0, 0};
};

// The largest element under the kernel, padding left out; its gradient goes to the first maximum. A NaN wins.
Tensor max_pool2d(const Tensor& x, const Pool2dAttributes& attributes);
// dx [.., H, W, C] with the given height and width from dy and `places`, which max_pool2d keeps: for every element the
// place under the kernel that it came from, a byte each, four to an i32 [N, H', W', (C + 3) / 4]. Not differentiable
// again.
Tensor max_pool2d_backward(const Tensor& places, const Tensor& dy, const std::array<std::int64_t, 2>& in,
                           const Pool2dAttributes& attributes);

// The mean of the elements under the kernel; padding counts as zeros.
Tensor avg_pool2d(const Tensor& x, const Pool2dAttributes& attributes);
// dx from dy. Not differentiable again.
Tensor avg_pool2d_backward(const Tensor& dy, const std::array<std::int64_t, 2>& in, const Pool2dAttributes& attributes);

// The mean over each image: [N, H, W, C] → [N, C].
Tensor global_average_pool2d(const Tensor& x);

}  // namespace convoy
