// Operators that only rearrange: all but pad (and a reshape that no strides express) share the input's storage. Any
// dtype. Negative axes count from the end.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "core/tensor/tensor.h"

namespace convoy {

// The same elements in row-major order under another shape; one extent may be -1.
Tensor reshape(const Tensor& x, const Shape& shape);

// Output axis i is input axis axes[i].
Tensor permute(const Tensor& x, std::span<const std::int64_t> axes);
inline Tensor permute(const Tensor& x, std::initializer_list<std::int64_t> axes) {
  return permute(x, std::span(axes.begin(), axes.size()));
}
Tensor transpose(const Tensor& x, int a, int b);

// Elements [begin, end) along one axis, 0 ≤ begin ≤ end ≤ extent. Its gradient is pad, and pad's is slice.
Tensor slice(const Tensor& x, int axis, std::int64_t begin, std::int64_t end);

// x repeated to a shape that it broadcasts to (NumPy's rules).
Tensor broadcast_to(const Tensor& x, const Shape& shape);

// `before` zeros ahead of and `after` zeros behind x along one axis.
Tensor pad(const Tensor& x, int axis, std::int64_t before, std::int64_t after);

}  // namespace convoy
