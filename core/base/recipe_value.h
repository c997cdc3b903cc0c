// The values that a recipe's keys have, as TOML knows them.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace convoy {

using RecipeValue = std::variant<std::string, bool, std::int64_t, double, std::vector<std::int64_t>>;

}  // namespace convoy
