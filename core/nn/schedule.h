// Learning-rate schedules.
#pragma once

#include <cstdint>

#include "core/base/recipe.h"

namespace convoy {

// The learning rate of `step` (from 1) in a run of `steps`: a linear rise over the warm-up, then constant, linear or
// cosine (Loshchilov & Hutter 2017) down to final_lr_fraction · lr at the last step.
double learning_rate(const OptimizerRecipe& recipe, std::int64_t step, std::int64_t steps);

}  // namespace convoy
