// Learning-rate schedules.
#pragma once

#include <cstdint>

#include "core/base/recipe.h"

namespace convoy {

// The learning rate of `step` (from 1) in a run of `steps`: a linear rise to lr over the warm-up, then constant; linear
// or cosine (Loshchilov & Hutter 2017) down to final_lr_fraction · lr at the last step; or in steps, lr · gamma^k once
// k multiples of step_every, or k milestones, lie behind (PyTorch's StepLR and MultiStepLR). Steps count from the run's
// first: one that lies in the warm-up takes effect at its end.
double learning_rate(const OptimizerRecipe& recipe, std::int64_t step, std::int64_t steps);

}  // namespace convoy
