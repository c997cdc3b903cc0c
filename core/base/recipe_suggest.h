// "did you mean …?" for recipe keys, sections and values, and for commands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/recipe_schema.h"

namespace convoy {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
int edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, if one is near enough to be what was meant; else "".
std::string nearest_word(std::string_view word, const std::vector<std::string_view>& candidates);

// The full name of the recipe key nearest to `section`.`name`, also when only the section is wrong; else "".
std::string nearest_recipe_key(const RecipeSchema& schema, std::string_view section, std::string_view name);

}  // namespace convoy
