// The kinds of optimizers, one a file; make_optimizer() alone needs them.
#pragma once

#include <memory>

#include "core/base/recipe.h"
#include "core/nn/optimizer.h"

namespace convoy {

std::unique_ptr<Optimizer> make_adamw(const OptimizerRecipe& recipe);
std::unique_ptr<Optimizer> make_sgd(const OptimizerRecipe& recipe);
std::unique_ptr<Optimizer> make_lamb(const OptimizerRecipe& recipe);

}  // namespace convoy
