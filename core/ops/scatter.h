// Writing elements along an axis at places that a tensor of indices names. (Adding them up: core/ops/gather.h.)
#pragma once

#include "core/tensor/tensor.h"

namespace convoy {

// x, but y[.., index[.., j, ..], ..] = values[.., j, ..] along `axis`: x f32, f64 or bf16, index i32 with x's extents
// along all other axes, values of x's dtype and index's shape. Of several values for one place the last, by j, stays;
// it alone has a gradient. Negative axes count from the end. Throws Error(kInvalidArgument) for an index outside the
// axis.
Tensor scatter(const Tensor& x, int axis, const Tensor& index, const Tensor& values);

// Its gradients, from dy of y's shape. Not differentiable again.
struct ScatterGradients {
  Tensor x;       // dy, but zero where a value was written
  Tensor values;  // of index's shape; zero for values that did not stay
};
ScatterGradients scatter_backward(int axis, const Tensor& index, const Tensor& dy);

}  // namespace convoy
