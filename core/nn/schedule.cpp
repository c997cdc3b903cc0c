#include "core/nn/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace convoy {

namespace {

// How often a step schedule has lowered the rate before `step`.
std::int64_t drops_before(const OptimizerRecipe& recipe, std::int64_t step) {
  if (recipe.step_every > 0) return (step - 1) / recipe.step_every;
  return std::count_if(recipe.milestones.begin(), recipe.milestones.end(),
                       [&](std::int64_t milestone) { return milestone < step; });
}

}  // namespace

double learning_rate(const OptimizerRecipe& recipe, std::int64_t step, std::int64_t steps) {
  if (step <= recipe.warmup_steps)
    return recipe.lr * static_cast<double>(step) / static_cast<double>(recipe.warmup_steps);
  if (recipe.schedule == "constant" || steps <= recipe.warmup_steps) return recipe.lr;
  if (recipe.schedule == "step")
    return recipe.lr * std::pow(recipe.gamma, static_cast<double>(drops_before(recipe, step)));
  const double progress =
      static_cast<double>(step - recipe.warmup_steps) / static_cast<double>(steps - recipe.warmup_steps);
  const double remaining =
      recipe.schedule == "cosine" ? 0.5 * (1.0 + std::cos(std::numbers::pi * progress)) : 1.0 - progress;
  return recipe.lr * (recipe.final_lr_fraction + (1.0 - recipe.final_lr_fraction) * remaining);
}

}  // namespace convoy
