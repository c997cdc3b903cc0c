// Running sums.
#pragma once

#include "core/tensor/tensor.h"

namespace convoy {

struct CumsumAttributes {
  bool exclusive = false;  // an element's sum leaves the element itself out
  bool reverse = false;    // sums run from the end
};

// Sums of all elements up to each along an axis (negative: from the end): x f32, f64 or bf16, added in order, in fp64
// (bf16: in f32, rounded where a sum is stored). The gradient runs the other way.
Tensor cumsum(const Tensor& x, int axis, const CumsumAttributes& attributes = {});

}  // namespace convoy
