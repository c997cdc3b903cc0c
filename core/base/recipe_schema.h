// The table of recipe keys. Reading, range checks, the expectations in messages and to_toml all walk it, so a new
// key is one row here, one field in recipe.h, and one row in docs/recipe.md, which is for users. For
// core/base/recipe*.cpp only; everybody else uses recipe.h.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/recipe.h"

namespace convoy {

// What a key accepts.
struct OneOf {
  std::vector<std::string_view> values;
};
struct Text {};  // any string but the empty one
struct Whole {
  std::int64_t low = 0;
  std::int64_t high = 1'000'000'000'000;
};
struct WholeList {
  Whole each;
  bool empty_allowed = false;
};
struct Real {  // always finite
  double low = 0;
  double high = std::numeric_limits<double>::infinity();
  bool low_allowed = true;  // `high` itself is allowed with `high_allowed`
  bool high_allowed = true;
};
struct Flag {};  // true or false
using RecipeDomain = std::variant<OneOf, Text, Flag, Whole, WholeList, Real>;

struct RecipeKey {
  std::string section;
  std::string name;
  std::vector<std::string_view> kinds;  // kinds of its section that own it; empty: every kind
  bool required;                        // the others default to what Recipe{} holds
  RecipeDomain domain;
  std::function<RecipeValue(const Recipe&)> get;
  std::function<void(Recipe&, const RecipeValue&)> set;
  std::vector<std::string_view> defaulted_by{};  // kinds that may leave a required key out

  std::string full_name() const { return section + "." + name; }
};

// Every key, sections together and in the order in which a recipe is written.
using RecipeSchema = std::vector<RecipeKey>;

// The keys of Convoy's own recipes.
const RecipeSchema& recipe_keys();
// The same, but with the recipe's own keys in sections whose kind is "custom".
RecipeSchema recipe_keys_of(const Recipe& recipe);

// nullptr: there is no such key.
const RecipeKey* find_recipe_key(const RecipeSchema& schema, std::string_view section, std::string_view name);

// The chosen kind of a section ("" for sections without kinds).
std::string recipe_kind(const Recipe& recipe, std::string_view section);

// Defaults that depend on the chosen kinds: called once those are known, before other keys are set.
void set_kind_defaults(Recipe& recipe);

// Whether `key` belongs to the chosen kind of its section.
bool owns(const Recipe& recipe, const RecipeKey& key);

// Whether the recipe must say it.
bool requires_key(const Recipe& recipe, const RecipeKey& key);

// "an integer >= 1", "one of \"gpt\", \"mlp\"".
std::string expectation(const RecipeDomain& domain);

// Whether the value has the type that `domain` asks for and lies inside it.
bool accepts(const RecipeDomain& domain, const RecipeValue& value);

// Fills in the defaults that follow from other keys.
void complete(Recipe& recipe);

// A rule between keys that `recipe` breaks: the key to blame and what was expected of it.
struct BrokenRule {
  std::string_view section;
  std::string_view name;
  std::string expected;
};
std::optional<BrokenRule> find_broken_rule(const Recipe& recipe);

}  // namespace convoy
