// The largest elements along an axis.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace convoy {

struct TopK {
  Tensor values;   // in x's dtype, falling
  Tensor indices;  // i32: where along the axis they stand
};

// The k largest elements along an axis (negative: from the end), 0 ≤ k ≤ its extent, x f32, f64 or bf16; results have
// x's shape with k along the axis. Of equal elements the one with the lower index comes first; NaN is larger than all
// numbers. The values' gradient goes where they came from.
TopK top_k(const Tensor& x, std::int64_t k, int axis = -1);

}  // namespace convoy
