// A tensor of numbers that are the same in every step.
#pragma once

#include <span>

#include "core/tensor/tensor.h"

namespace convoy {

// `values` in row-major order, rounded to `dtype` (floating), on the recorder's device. No gradient. A step that is
// captured takes its numbers along, which it does not do for a tensor made beside it.
Tensor constant(DType dtype, const Shape& shape, std::span<const double> values);

}  // namespace convoy
