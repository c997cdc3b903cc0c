#include "core/nn/optimizer.h"

#include <string_view>

#include "core/base/error.h"
#include "core/nn/optimizer_kinds.h"

namespace convoy {
namespace {

struct Kind {
  std::string_view name;
  std::unique_ptr<Optimizer> (*make)(const OptimizerRecipe&);
};
constexpr Kind kKinds[] = {{"adamw", make_adamw}, {"sgd", make_sgd}, {"lamb", make_lamb}};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerRecipe& recipe) {
  for (const Kind& kind : kKinds) {
    if (kind.name == recipe.kind) return kind.make(recipe);
  }
  fail(ErrorCode::kUsage, "optimizer.kind: there is no optimizer \"{}\"", recipe.kind);
}

}  // namespace convoy
