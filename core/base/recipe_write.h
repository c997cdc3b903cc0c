// Recipe values as TOML text. For core/base/recipe*.cpp only.
#pragma once

#include <string>
#include <string_view>

#include "core/base/recipe_schema.h"

namespace convoy {

// A basic TOML string, quotes included.
std::string toml_string(std::string_view text);

// Numbers are written so that they read back to the same bits.
std::string toml_value(const RecipeValue& value);

}  // namespace convoy
