// What an optimizer keeps between steps besides the parameters.
#pragma once

#include <string>
#include <vector>

#include "core/base/recipe.h"

namespace convoy {

// The names of the optimizer's moments, in the order in which a replica keeps them: a moment has one value for each
// value of a parameter, starts at zero and stands in checkpoints as "<moment>.<parameter>".
std::vector<std::string> moment_names(const OptimizerRecipe& recipe);

}  // namespace convoy
