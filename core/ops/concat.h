// Joining tensors along an axis and taking them apart again. Any dtype; negative axes count from the end.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "core/tensor/tensor.h"

namespace convoy {

// The inputs one after the other along an axis: at least one, of one dtype, with equal extents along all other axes.
// The gradient is split.
Tensor concat(std::span<const Tensor> inputs, int axis);
inline Tensor concat(std::initializer_list<Tensor> inputs, int axis) {
  return concat(std::span(inputs.begin(), inputs.size()), axis);
}

// Pieces of the given extents along an axis, which add up to x's: copies, whose gradients concat joins in one pass.
// (Where only one piece is wanted, slice is a view.)
Tensors split(const Tensor& x, int axis, std::span<const std::int64_t> extents);
inline Tensors split(const Tensor& x, int axis, std::initializer_list<std::int64_t> extents) {
  return split(x, axis, std::span(extents.begin(), extents.size()));
}

}  // namespace convoy
