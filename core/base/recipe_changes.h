// What differs between two recipes, and what of it a run that is resumed may do differently from then on.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/recipe.h"

namespace convoy {

struct RecipeChange {
  std::string key;     // "train.steps"
  std::string before;  // as TOML; "none" where the recipe has no such key
  std::string after;

  std::string to_string() const;  // "train.steps = 40 (was 20)"
};

// In the order of a recipe.
std::vector<RecipeChange> recipe_changes(const Recipe& before, const Recipe& after);

// What may be another for the use of a model that is trained: where the data lie and what computes. Everything else
// decides what was trained.
inline constexpr std::array<std::string_view, 7> kChangeableOnceTrained = {
    "data.path", "data.threads", "data.prefetch", "train.threads", "train.device", "train.graph", "train.recompute"};

// Whether a run may be resumed with another value of `key`: the steps done would have been the same with it.
bool may_change_on_resume(const std::string& key);

// Throws Error(kUsage) naming the first change that a resumed run may not make; `begun` is where the old value stands.
void check_changes_on_resume(const std::vector<RecipeChange>& changes, const Recipe& after, const std::string& begun);

}  // namespace convoy
