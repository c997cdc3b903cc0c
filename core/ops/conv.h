// Two-dimensional convolution over images whose channels lie innermost (nhwc), without algorithms that trade accuracy
// for speed. The kernels and their blocking are a function of the shapes and attributes alone.
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor/tensor.h"

namespace convoy {

// Vertical and horizontal extents; the same padding (of zeros) on both sides.
struct Conv2dAttributes {
  std::array<std::int64_t, 2> stride{1, 1};
  std::array<std::int64_t, 2> padding{0, 0};
  std::array<std::int64_t, 2> dilation{1, 1};
  std::int64_t groups = 1;  // of channels; each group of outputs sees one group of inputs
};

// x [N, H, W, C], weight [O, C/groups, kh, kw], bias [O] or undefined for none → [N, H', W', O] with
// H' = (H + 2·padding - dilation·(kh - 1) - 1) / stride + 1, rounded down; f32 or f64, all alike, or images of bf16
// beside an f32 weight and bias. The weight is rounded to bf16 then, sums are fp32 and rounded once.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dAttributes& attributes = {});

// Its gradients with respect to x, whose height and width are `in`, and to the weights, whose are `kernel`: that one is
// f32 where images are bf16. Not differentiable again.
Tensor conv2d_backward_data(const Tensor& dy, const Tensor& weight, const std::array<std::int64_t, 2>& in,
                            const Conv2dAttributes& attributes = {});
Tensor conv2d_backward_weights(const Tensor& x, const Tensor& dy, const std::array<std::int64_t, 2>& kernel,
                               const Conv2dAttributes& attributes = {});

}  // namespace convoy
