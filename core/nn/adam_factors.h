// What Adam and its descendants hand to their kernels.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/base/recipe.h"
#include "core/nn/optimizer.h"

namespace convoy {

// {lr, 1 - beta1^t, 1 - beta2^t, gradient_scale, apply}.
inline std::vector<double> adam_factors(const OptimizerRecipe& recipe, std::int64_t step,
                                        const UpdateFactors& factors) {
  return {factors.lr, 1.0 - std::pow(recipe.beta1, static_cast<double>(step)),
          1.0 - std::pow(recipe.beta2, static_cast<double>(step)), factors.gradient_scale, factors.apply ? 1.0 : 0.0};
}

}  // namespace convoy
