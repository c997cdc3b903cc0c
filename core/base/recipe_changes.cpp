#include "core/base/recipe_changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "core/base/error.h"
#include "core/base/recipe_schema.h"
#include "core/base/recipe_write.h"

namespace convoy {
namespace {

// A key or a whole section. What stands here decides how long a run goes on, how it is watched, kept and carried out:
// no step's numbers.
constexpr std::array<std::string_view, 18> kChangeable = {
    "data.path",
    "data.threads",
    "data.prefetch",
    "train.steps",
    "train.threads",
    "train.device",
    "train.graph",
    "train.recompute",
    "train.eval_every",
    "train.on_nonfinite",
    "train.histogram_every",
    "train.sample_tokens",
    "sync.mode",
    "sync.engine",
    "sync.bucket_mib",
    "sync.topology",
    "checkpoint",
    "fault",
};

// The keys that belong to a recipe's kinds and their values, in order.
std::vector<std::pair<std::string, std::string>> values_of(const Recipe& recipe) {
  std::vector<std::pair<std::string, std::string>> values;
  for (const RecipeKey& key : recipe_keys_of(recipe)) {
    if (owns(recipe, key)) values.emplace_back(key.full_name(), toml_value(key.get(recipe)));
  }
  return values;
}

const std::string* find(const std::vector<std::pair<std::string, std::string>>& values, const std::string& key) {
  for (const auto& [name, value] : values) {
    if (name == key) return &value;
  }
  return nullptr;
}

}  // namespace

std::string RecipeChange::to_string() const { return fmt::format("{} = {} (was {})", key, after, before); }

std::vector<RecipeChange> recipe_changes(const Recipe& before, const Recipe& after) {
  const auto old_values = values_of(before);
  const auto new_values = values_of(after);
  std::vector<RecipeChange> changes;
  for (const auto& [key, value] : old_values) {
    const std::string* now = find(new_values, key);
    if (now == nullptr || *now != value) changes.push_back({key, value, now == nullptr ? "none" : *now});
  }
  for (const auto& [key, value] : new_values) {
    if (find(old_values, key) == nullptr) changes.push_back({key, "none", value});
  }
  return changes;
}

bool may_change_on_resume(const std::string& key) {
  const std::string section = key.substr(0, key.find('.'));
  return std::any_of(kChangeable.begin(), kChangeable.end(),
                     [&](std::string_view name) { return name == section || name == key; });
}

void check_changes_on_resume(const std::vector<RecipeChange>& changes, const Recipe& after, const std::string& begun) {
  for (const RecipeChange& change : changes) {
    if (may_change_on_resume(change.key)) continue;
    fail(ErrorCode::kUsage,
         "{}: expected {}, with which the run was begun ({}): another value would change its numbers",
         after.where(change.key), change.before, begun);
  }
}

}  // namespace convoy
