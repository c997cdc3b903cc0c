#include "core/nn/optimizer.h"

#include "core/base/error.h"

namespace convoy {

std::vector<std::string> moment_names(const OptimizerRecipe& recipe) {
  if (recipe.kind == "adamw") return {"m", "v"};
  fail(ErrorCode::kUsage, "optimizer.kind: there is no optimizer \"{}\"", recipe.kind);
}

}  // namespace convoy
