// Reductions along axes of floating tensors. Negative axes count from the end; with `keep`, reduced axes stay as
// extents of 1.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

#include "core/tensor/tensor.h"

namespace convoy {

// Sums accumulate in blocks of compute_dtype(x), combined in fp64. The result has x's dtype, or `dtype`:
// compute_dtype(x) for the sum of bf16 that is not rounded to bf16.
Tensor sum(const Tensor& x, std::span<const std::int64_t> axes, bool keep = false, std::optional<DType> dtype = {});
inline Tensor sum(const Tensor& x, std::initializer_list<std::int64_t> axes, bool keep = false,
                  std::optional<DType> dtype = {}) {
  return sum(x, std::span(axes.begin(), axes.size()), keep, dtype);
}
Tensor sum(const Tensor& x);  // over all axes: a scalar

Tensor mean(const Tensor& x, std::span<const std::int64_t> axes, bool keep = false);
inline Tensor mean(const Tensor& x, std::initializer_list<std::int64_t> axes, bool keep = false) {
  return mean(x, std::span(axes.begin(), axes.size()), keep);
}

// Undoes broadcasting: sums x down to a shape that broadcasts to x's. x itself where the shapes are equal.
Tensor sum_to(const Tensor& x, const Shape& shape);

// The largest element along an axis that is not empty; the gradient goes to the first maximum. A NaN wins.
Tensor max(const Tensor& x, int axis, bool keep = false);
// dx from y and dy as `keep` shapes them. Not differentiable again.
Tensor max_backward(const Tensor& x, const Tensor& y, const Tensor& dy, int axis);

}  // namespace convoy
