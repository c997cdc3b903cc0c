#include "core/base/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <tuple>

#include "core/base/error.h"
#include "core/base/recipe_schema.h"
#include "core/base/recipe_suggest.h"
#include "core/base/recipe_write.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

// A key as the user wrote it: in the recipe, or on the command line.
struct Given {
  std::string where;  // what a message about it begins with: "gpt.toml:7: train.steps", "command line: train.steps=x"
  RecipeValue value;
  fs::path base;          // what relative paths are relative to
  bool fallback = false;  // a program's: gives way where another kind is chosen
};

std::string did_you_mean(const std::string& nearest) {
  return nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest);
}

std::vector<std::string_view> section_names(const RecipeSchema& schema) {
  std::vector<std::string_view> names;
  for (const RecipeKey& key : schema) {
    if (names.empty() || names.back() != key.section) names.push_back(key.section);
  }
  return names;
}

std::string describe(const toml::node& node) {
  if (const auto* text = node.as_string()) return toml_string(text->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (const auto* list = node.as_array()) {
    std::string text;
    for (const toml::node& element : *list) text += (text.empty() ? "" : ", ") + describe(element);
    return "[" + text + "]";
  }
  return node.is_table() ? "a table" : "a date or time";
}

std::optional<std::vector<std::int64_t>> as_whole_list(const toml::node& node) {
  const toml::array* list = node.as_array();
  if (!list) return std::nullopt;
  std::vector<std::int64_t> numbers;
  for (const toml::node& element : *list) {
    if (!element.is_integer()) return std::nullopt;
    numbers.push_back(element.as_integer()->get());
  }
  return numbers;
}

// The value in the type that `domain` keeps; nothing if it has another one.
std::optional<RecipeValue> convert(const RecipeDomain& domain, const toml::node& node) {
  if (std::holds_alternative<Real>(domain)) {
    if (node.is_number()) return node.value<double>();  // an integer is a number too
  } else if (std::holds_alternative<Flag>(domain)) {
    if (node.is_boolean()) return node.as_boolean()->get();
  } else if (std::holds_alternative<Whole>(domain)) {
    if (node.is_integer()) return node.as_integer()->get();
  } else if (std::holds_alternative<WholeList>(domain)) {
    if (auto list = as_whole_list(node)) return *std::move(list);
  } else if (node.is_string()) {
    return node.as_string()->get();
  }
  return std::nullopt;
}

RecipeValue checked(const RecipeKey& key, const toml::node& node, const std::string& where) {
  const std::optional<RecipeValue> value = convert(key.domain, node);
  if (value && accepts(key.domain, *value)) return *value;
  std::string nearest;
  if (const auto* choice = std::get_if<OneOf>(&key.domain); choice && node.is_string()) {
    nearest = nearest_word(node.as_string()->get(), choice->values);
    if (!nearest.empty()) nearest = toml_string(nearest);
  }
  fail(ErrorCode::kUsage, "{}: expected {}, found {}{}", where, expectation(key.domain), describe(node),
       did_you_mean(nearest));
}

toml::table parse(std::string_view text, const std::string& path) {
  try {
    return toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    fail(ErrorCode::kUsage, "{}:{}:{}: not valid TOML: {}", path, at.line, at.column, error.description());
  }
}

std::string read_text(const std::string& path) {
  if (fs::is_directory(path)) fail(ErrorCode::kUsage, "{}: is a folder; expected a recipe (a TOML file)", path);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file) fail(ErrorCode::kUsage, "{}: cannot read the recipe: {}", path, errno_text(errno));
  return text.str();
}

// The value of a program's own key, in the type that TOML gives it.
RecipeValue own_value(const toml::node& node, const std::string& where) {
  if (node.is_boolean()) return node.as_boolean()->get();
  if (node.is_integer()) return node.as_integer()->get();
  if (node.is_floating_point()) return node.as_floating_point()->get();
  if (node.is_string()) return node.as_string()->get();
  if (auto list = as_whole_list(node)) return *std::move(list);
  fail(ErrorCode::kInvalidArgument,
       "{}: expected true or false, an integer, a number, a string or a list of integers, found {}", where,
       describe(node));
}

// The sections that are the program's own, with the values it gives them, in the order in which it does.
Recipe own_sections(const ProgramRecipe& program, const toml::table& root, const std::string& path) {
  Recipe recipe;
  for (const auto& [section, own, kind] : {std::tuple{"model", program.own_model, &recipe.model.kind},
                                           std::tuple{"data", program.own_data, &recipe.data.kind}}) {
    if (!own) continue;
    *kind = kCustomKind;
    const toml::table* table = root[section].as_table();
    if (!table) continue;
    std::map<std::pair<toml::source_index, toml::source_index>, OwnKey> keys;  // by line and column
    for (const auto& [name, node] : *table) {
      const toml::source_position at = name.source().begin;
      const std::string where = fmt::format("{}:{}: {}.{}", path, at.line, section, name.str());
      if (name.str() == "kind") continue;
      keys[{at.line, at.column}] = {section, std::string(name.str()), own_value(node, where)};
    }
    for (auto& [position, key] : keys) recipe.own.push_back(std::move(key));
  }
  return recipe;
}

// Reads recipes and the command line into one map of keys, then that map into a Recipe.
class Reader {
 public:
  // `recipe`: has the sections that are a program's own.
  Reader(std::string path, Recipe recipe)
      : path_(std::move(path)), recipe_(std::move(recipe)), schema_(recipe_keys_of(recipe_)) {}

  void add_program(const toml::table& root, const std::string& path) {
    add_table(root, path, {.where = "", .value = {}, .base = fs::current_path(), .fallback = true});
  }

  void add_file() {
    const toml::table root = parse(read_text(path_), path_);
    if (root.empty() && given_.empty()) {
      fail(ErrorCode::kUsage, "{}: is empty; expected the sections [model], [data], [optimizer], [train]", path_);
    }
    add_table(root, path_, {.where = "", .value = {}, .base = fs::absolute(path_).parent_path()});
  }

  void add_override(const std::string& argument) {
    const std::string where = "command line: " + argument;
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const std::size_t dot = name.find('.');
    if (equals == std::string::npos) {
      fail(ErrorCode::kUsage, "{}: expected key=value, such as train.steps=50", where);
    }
    const std::string section = dot == std::string::npos ? "" : name.substr(0, dot);
    const RecipeKey& key = known_key(section, dot == std::string::npos ? name : name.substr(dot + 1), where);
    const toml::table table = parse_override(key, argument.substr(equals + 1), where);
    given_[&key] = {where, checked(key, *table.get("value"), where), fs::current_path()};
  }

  Recipe finish() {
    Recipe recipe = recipe_;
    for (const RecipeKey& key : schema_) {
      if (key.name == "kind") take(key, recipe);
    }
    set_kind_defaults(recipe);
    for (const RecipeKey& key : schema_) {
      if (key.name != "kind") take(key, recipe);
    }
    resolve_data_path(recipe);
    complete(recipe);
    if (const auto broken = find_broken_rule(recipe)) report(*broken, recipe);
    return recipe;
  }

 private:
  // What a table's values have in common: `given` without place and value.
  void add_table(const toml::table& root, const std::string& path, const Given& given) {
    for (const auto& [section, node] : root) add_section(section, node, path, given);
  }

  void add_section(const toml::key& name, const toml::node& node, const std::string& path, const Given& given) {
    const auto at = [&path](const toml::source_region& source) {
      return fmt::format("{}:{}", path, source.begin.line);
    };
    const std::vector<std::string_view> sections = section_names(schema_);
    const bool known = std::find(sections.begin(), sections.end(), name.str()) != sections.end();
    const toml::table* table = node.as_table();
    if (!table) {
      if (known) fail(ErrorCode::kUsage, "{}: {}: expected a section [{}]", at(name.source()), name.str(), name.str());
      known_key("", std::string(name.str()), fmt::format("{}: {}", at(name.source()), name.str()));
    }
    if (!known) {
      const std::string nearest = nearest_word(name.str(), sections);
      fail(ErrorCode::kUsage, "{}: [{}]: unknown section; {}", at(name.source()), name.str(),
           nearest.empty() ? fmt::format("expected one of [{}]", fmt::join(sections, "], ["))
                           : fmt::format("did you mean [{}]?", nearest));
    }
    section_line_[std::string(name.str())] = at(name.source());
    refuse_other_programs(std::string(name.str()), *table, at(name.source()));
    for (const auto& [key_name, value] : *table) {
      const std::string where = fmt::format("{}: {}.{}", at(key_name.source()), name.str(), key_name.str());
      const RecipeKey& key = known_key(std::string(name.str()), std::string(key_name.str()), where);
      given_[&key] = {where, checked(key, value, where), given.base, given.fallback};
    }
  }

  // A section of a program's own means something to that program alone.
  void refuse_other_programs(const std::string& section, const toml::table& table, const std::string& where) const {
    if (table["kind"].value_or(std::string()) != kCustomKind || recipe_kind(recipe_, section) == kCustomKind) return;
    fail(ErrorCode::kUsage, "{}: [{}] is of kind \"{}\", a program's own: run this recipe with that program", where,
         section, kCustomKind);
  }

  const RecipeKey& known_key(const std::string& section, const std::string& name, const std::string& where) const {
    if (const RecipeKey* key = find_recipe_key(schema_, section, name)) return *key;
    const std::string nearest = nearest_recipe_key(schema_, section, name);
    if (!nearest.empty()) fail(ErrorCode::kUsage, "{}: unknown key{}", where, did_you_mean(nearest));
    std::vector<std::string_view> names;
    for (const RecipeKey& key : schema_) {
      if (key.section == section) names.push_back(key.name);
    }
    if (names.empty()) {
      fail(ErrorCode::kUsage, "{}: unknown key; keys are section.name, with a section of {}", where,
           fmt::join(section_names(schema_), ", "));
    }
    fail(ErrorCode::kUsage, "{}: unknown key; {} has {}", where, section, fmt::join(names, ", "));
  }

  // The value as TOML writes it; for a string the quotes may be left out, which shells strip anyway.
  static toml::table parse_override(const RecipeKey& key, const std::string& value, const std::string& where) {
    const bool is_text = std::holds_alternative<OneOf>(key.domain) || std::holds_alternative<Text>(key.domain);
    const bool bare = is_text && !value.starts_with('"') && !value.starts_with('\'');
    try {
      return toml::parse("value = " + (bare ? toml_string(value) : value));
    } catch (const toml::parse_error&) {
      if (bare) fail(ErrorCode::kUsage, "{}: expected UTF-8 text", where);
      fail(ErrorCode::kUsage, "{}: expected {}, found {}", where, expectation(key.domain),
           value.empty() ? "nothing" : value);
    }
  }

  void take(const RecipeKey& key, Recipe& recipe) const {
    const auto given = given_.find(&key);
    if (given == given_.end()) {
      if (requires_key(recipe, key)) report_missing(key);
      return;
    }
    if (!owns(recipe, key)) {
      if (given->second.fallback) return;
      fail(ErrorCode::kUsage, "{}: belongs to {}.kind = \"{}\", but this recipe has {}.kind = \"{}\"",
           given->second.where, key.section, fmt::join(key.kinds, "\" or \""), key.section,
           recipe_kind(recipe, key.section));
    }
    key.set(recipe, given->second.value);
    recipe.origin.places[key.full_name()] = given->second.where;
  }

  [[noreturn]] void report_missing(const RecipeKey& key) const {
    const auto section = section_line_.find(key.section);
    fail(ErrorCode::kUsage, "{}: {}: missing from section [{}]; expected {}",
         section == section_line_.end() ? path_ : section->second, key.full_name(), key.section,
         expectation(key.domain));
  }

  [[noreturn]] void report(const BrokenRule& broken, const Recipe& recipe) const {
    const RecipeKey& key = *find_recipe_key(schema_, broken.section, broken.name);
    const auto given = given_.find(&key);
    const std::string where =
        given == given_.end() ? fmt::format("{}: {}", path_, key.full_name()) : given->second.where;
    fail(ErrorCode::kUsage, "{}: {}, found {}{}", where, broken.expected, toml_value(key.get(recipe)),
         given == given_.end() ? " (the default)" : "");
  }

  void resolve_data_path(Recipe& recipe) const {
    const RecipeKey* key = find_recipe_key(schema_, "data", "path");
    const auto given = given_.find(key);
    if (given == given_.end()) return;
    const auto* text = std::get_if<std::string>(&given->second.value);
    if (!text) return;
    fs::path path = (given->second.base / *text).lexically_normal();
    if (!path.has_filename() && path != path.root_path()) path = path.parent_path();  // "digits/" is "digits"
    key->set(recipe, path.string());
  }

  std::string path_;
  Recipe recipe_;
  RecipeSchema schema_;
  std::map<const RecipeKey*, Given> given_;
  std::map<std::string, std::string> section_line_;  // "path:line" of each section in the file
};

}  // namespace

namespace {

const RecipeValue* find_own_value(const Recipe& recipe, const std::string& key) {
  for (const OwnKey& own : recipe.own) {
    if (own.section + "." + own.name == key) return &own.value;
  }
  return nullptr;
}

template <typename T>
const T& own_value_of(const Recipe& recipe, const std::string& key) {
  const RecipeValue* value = find_own_value(recipe, key);
  if (!value) fail(ErrorCode::kInvalidArgument, "the program's own recipe has no key {}", key);
  if (const T* found = std::get_if<T>(value)) return *found;
  fail(ErrorCode::kInvalidArgument, "{} is {}: of another type than the program reads", key, toml_value(*value));
}

}  // namespace

std::int64_t default_mlp_width(const ModelRecipe& model) {
  if (model.activation != "swiglu") return 4 * model.width;
  constexpr std::int64_t kUnit = 64;
  return ((8 * model.width + 2) / 3 + kUnit - 1) / kUnit * kUnit;
}

std::string Recipe::where(const std::string& key) const {
  const auto place = origin.places.find(key);
  return place == origin.places.end() ? key : place->second;
}

bool Recipe::flag(const std::string& key) const { return own_value_of<bool>(*this, key); }

std::int64_t Recipe::integer(const std::string& key) const { return own_value_of<std::int64_t>(*this, key); }

double Recipe::number(const std::string& key) const {
  if (const RecipeValue* value = find_own_value(*this, key)) {
    if (const auto* whole = std::get_if<std::int64_t>(value)) return static_cast<double>(*whole);
  }
  return own_value_of<double>(*this, key);
}

const std::string& Recipe::text(const std::string& key) const { return own_value_of<std::string>(*this, key); }

const std::vector<std::int64_t>& Recipe::integers(const std::string& key) const {
  return own_value_of<std::vector<std::int64_t>>(*this, key);
}

Recipe load_recipe(const std::string& path, std::span<const std::string> overrides, const ProgramRecipe& program) {
  const std::string label = program.name + "'s own recipe";
  const toml::table root = parse(program.text, label);
  Reader reader(path.empty() ? label : path, own_sections(program, root, label));
  reader.add_program(root, label);
  if (!path.empty() || program.text.empty()) reader.add_file();
  for (const std::string& argument : overrides) reader.add_override(argument);
  return reader.finish();
}

Recipe without_places(Recipe recipe) {
  recipe.data.path.clear();
  for (OwnKey& own : recipe.own) {
    if (own.section == "data" && own.name == "path") own.value = std::string();
  }
  return recipe;
}

}  // namespace convoy
