// The least time that work can take on a device, by how fast it multiplies and how fast its memory is (Williams,
// Waterman & Patterson 2009, "Roofline: an insightful visual performance model").
#pragma once

#include "core/graph/op.h"

namespace convoy {

// Rates of the threads of a device together. 0: not known.
struct Roofline {
  double f32_flops = 0.0;   // a second, in matrix products of the type
  double bf16_flops = 0.0;  // of bf16 operands with f32 sums
  double f64_flops = 0.0;
  double bytes = 0.0;  // a second, of memory far beyond the caches
};

// Seconds; what is computed with is told by `dtype`.
double least_seconds(const Roofline& roofline, const Cost& cost, DType dtype);

}  // namespace convoy
