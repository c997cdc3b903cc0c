// docs/recipe.md, the reference of a recipe's keys, says what the schema says.
#include "core/base/recipe_schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/recipe.h"
#include "core/base/recipe_changes.h"
#include "core/base/recipe_write.h"
#include "core/base/uuid.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

// A line "| `table.key` | type | default | meaning |".
struct Row {
  std::string key, type, value, meaning;
};

struct Page {
  std::vector<Row> rows;
  std::set<std::string> named;       // every `table.key` of its text and tables
  std::set<std::string> changeable;  // those in the list of what may change on resume
  std::vector<std::string> examples;
};

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::size_t begin = 2;
  for (std::size_t end = line.find(" |", begin); end != std::string::npos; end = line.find(" |", begin)) {
    cells.push_back(line.substr(begin, end - begin));
    begin = std::min(line.size(), end + 3);
  }
  return cells;
}

std::vector<std::string> keys_in(const std::string& text) {
  static const std::regex kKey("`(model|data|optimizer|train|sync|checkpoint|fault)\\.([a-z0-9_]+)");
  std::vector<std::string> keys;
  for (std::sregex_iterator it(text.begin(), text.end(), kKey); it != std::sregex_iterator(); ++it)
    keys.push_back((*it)[1].str() + "." + (*it)[2].str());
  return keys;
}

Page read_page() {
  Page page;
  std::ifstream file(CONVOY_SOURCE_DIR "/docs/recipe.md");
  EXPECT_TRUE(file.is_open());
  bool key_table = false;
  std::string heading, fence;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```")) {
      fence = fence.empty() ? line : "";
      if (fence == "```toml") page.examples.emplace_back();
      continue;
    }
    if (!fence.empty()) {
      if (fence == "```toml") page.examples.back() += line + "\n";
      continue;
    }
    if (line.starts_with("#")) heading = line;
    const std::vector<std::string> keys = keys_in(line);
    page.named.insert(keys.begin(), keys.end());
    if (line.starts_with("- ") && heading == "## What may change when a run is resumed")
      page.changeable.insert(keys.begin(), keys.end());
    key_table = line.starts_with("|") && (key_table || line == "| key | type | default | meaning |");
    if (!key_table || !line.starts_with("| `")) continue;
    const std::vector<std::string> cells = cells_of(line);
    EXPECT_EQ(cells.size(), 4U) << line;
    if (cells.size() == 4) page.rows.push_back({cells[0].substr(1, cells[0].size() - 2), cells[1], cells[2], cells[3]});
  }
  return page;
}

const RecipeKey* find_key(const std::string& name) {
  const std::size_t dot = name.find('.');
  return find_recipe_key(recipe_keys(), name.substr(0, dot), name.substr(dot + 1));
}

// "`gpt`, `mlp`".
std::string in_code(const std::vector<std::string_view>& kinds) {
  return fmt::format("`{}`", fmt::join(kinds, "`, `"));
}

// The kinds that have the key; one without a name where its section has none.
std::vector<std::string_view> kinds_of(const RecipeKey& key) {
  if (!key.kinds.empty()) return key.kinds;
  const RecipeKey* kind = find_recipe_key(recipe_keys(), key.section, "kind");
  return kind == nullptr ? std::vector<std::string_view>{""} : std::get<OneOf>(kind->domain).values;
}

// What stands in a recipe of this kind that leaves the key out, other keys being `scale`.
std::string default_of(const RecipeKey& key, std::string_view kind, std::int64_t scale) {
  Recipe recipe;
  if (!kind.empty()) find_recipe_key(recipe_keys(), key.section, "kind")->set(recipe, std::string(kind));
  if (requires_key(recipe, key)) return "required";
  set_kind_defaults(recipe);
  if (recipe.model.kind == "gpt") recipe.model.heads = recipe.model.width = scale;
  complete(recipe);
  return "`" + toml_value(key.get(recipe)) + "`";
}

// The page's cell for it; nothing where it follows from other keys.
std::optional<std::string> default_cell(const RecipeKey& key) {
  std::vector<std::pair<std::string, std::vector<std::string_view>>> groups;  // kinds by what they default to
  for (const std::string_view kind : kinds_of(key)) {
    const std::string value = default_of(key, kind, 2);
    if (value != default_of(key, kind, 4)) return std::nullopt;
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == value; });
    if (group == groups.end()) {
      groups.push_back({value, {kind}});
    } else {
      group->second.push_back(kind);
    }
  }
  if (groups.size() == 1) return groups.front().first;
  std::string cell;
  for (const auto& [value, kinds] : groups) cell += (cell.empty() ? "" : "; ") + in_code(kinds) + ": " + value;
  return cell;
}

TEST(RecipePageTest, HasARowForEveryKeyInTheirOrder) {
  std::vector<std::string> in_page, in_schema;
  for (const Row& row : read_page().rows) in_page.push_back(row.key);
  for (const RecipeKey& key : recipe_keys()) in_schema.push_back(key.full_name());
  for (const std::string& key : in_schema)
    EXPECT_EQ(std::count(in_page.begin(), in_page.end(), key), 1) << key << ": rows in docs/recipe.md";
  EXPECT_EQ(in_page, in_schema);
}

TEST(RecipePageTest, NamesNoKeyThatIsNotThere) {
  for (const std::string& name : read_page().named)
    EXPECT_NE(find_key(name), nullptr) << "docs/recipe.md names " << name;
}

TEST(RecipePageTest, TypesDefaultsAndKindsAreTheSchemas) {
  for (const Row& row : read_page().rows) {
    SCOPED_TRACE(row.key);
    const RecipeKey* key = find_key(row.key);
    if (key == nullptr) continue;  // another test's
    const std::string type = expectation(key->domain);
    EXPECT_EQ(row.type, type.substr(0, type.find(", such as")));
    if (const auto value = default_cell(*key)) {
      EXPECT_EQ(row.value, *value);
    } else {
      EXPECT_FALSE(keys_in(row.value).empty()) << "follows from other keys; expected their names, found " << row.value;
    }
    const std::string kinds = key->kinds.empty() ? "" : in_code(key->kinds) + ": ";
    EXPECT_TRUE(row.meaning.starts_with(kinds) && row.meaning.size() > kinds.size())
        << "expected " << kinds << "…, found " << row.meaning;
  }
}

TEST(RecipePageTest, ListsWhatMayChangeOnResume) {
  std::set<std::string> changeable;
  for (const RecipeKey& key : recipe_keys()) {
    if (may_change_on_resume(key.full_name())) changeable.insert(key.full_name());
  }
  EXPECT_EQ(read_page().changeable, changeable);
}

// One that shows a single table gets the others from the first.
TEST(RecipePageTest, ExamplesLoad) {
  const std::vector<std::string> examples = read_page().examples;
  ASSERT_FALSE(examples.empty());
  const fs::path path = fs::temp_directory_path() / ("convoy-recipe-page-" + random_hex(8) + ".toml");
  for (const std::string& example : examples) {
    const std::string& first = examples.front();
    const std::size_t optimizer = first.find("[optimizer]"), train = first.find("[train]");
    ASSERT_LT(optimizer, train);
    const bool whole = example.find("[train]") != std::string::npos;
    std::ofstream(path) << (whole ? example : first.substr(0, optimizer) + example + "\n" + first.substr(train));
    EXPECT_NO_THROW(load_recipe(path.string(), {})) << example;
  }
  fs::remove(path);
}

}  // namespace
}  // namespace convoy
