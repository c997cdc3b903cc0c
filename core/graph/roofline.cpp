#include "core/graph/roofline.h"

#include <algorithm>

namespace convoy {

double least_seconds(const Roofline& roofline, const Cost& cost, DType dtype) {
  const double flops = dtype == DType::kBF16  ? roofline.bf16_flops
                       : dtype == DType::kF64 ? roofline.f64_flops
                                              : roofline.f32_flops;
  const double computing = flops > 0.0 ? cost.flops / flops : 0.0;
  const double moving = roofline.bytes > 0.0 ? cost.bytes / roofline.bytes : 0.0;
  return std::max(computing, moving);
}

}  // namespace convoy
