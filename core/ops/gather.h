// Picking elements along an axis by a tensor of indices, and adding them back. Negative axes count from the end.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace convoy {

// y[.., j, ..] = x[.., index[.., j, ..], ..] along `axis`: x f32, f64 or bf16, index i32 with x's extents along all
// other axes, the result of index's shape. Throws Error(kInvalidArgument) for an index outside the axis. The gradient
// is scatter_add.
Tensor gather(const Tensor& x, int axis, const Tensor& index);

// The way back: zeros of values' shape but `extent` along `axis`, where values[.., j, ..] is added at
// index[.., j, ..]: values f32, f64 or bf16 and index i32 of one shape. What meets in one place is added in the order
// of j, bf16 in f32 and rounded once. The gradient is gather.
Tensor scatter_add(const Tensor& index, const Tensor& values, int axis, std::int64_t extent);

}  // namespace convoy
