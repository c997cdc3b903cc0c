#include "core/base/recipe_write.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/recipe.h"

namespace convoy {
namespace {

struct ToToml {
  std::string operator()(const std::string& text) const { return toml_string(text); }
  std::string operator()(bool flag) const { return flag ? "true" : "false"; }
  std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
  std::string operator()(double number) const {
    std::string text = fmt::format("{}", number);  // the shortest digits that read back to the same double
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
  }
  std::string operator()(const std::vector<std::int64_t>& numbers) const {
    return fmt::format("[{}]", fmt::join(numbers, ", "));
  }
};

}  // namespace

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string toml_value(const RecipeValue& value) { return std::visit(ToToml{}, value); }

std::string to_toml(const Recipe& recipe) {
  std::string text;
  std::string_view section;
  const RecipeSchema schema = recipe_keys_of(recipe);
  for (const RecipeKey& key : schema) {
    if (!owns(recipe, key)) continue;
    if (key.section != section) {
      text += fmt::format("{}[{}]\n", section.empty() ? "" : "\n", key.section);
      section = key.section;
    }
    text += fmt::format("{} = {}\n", key.name, toml_value(key.get(recipe)));
  }
  return text;
}

}  // namespace convoy
