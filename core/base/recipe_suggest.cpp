#include "core/base/recipe_suggest.h"

#include <algorithm>
#include <cstddef>

#include "core/base/recipe_schema.h"

namespace convoy {
namespace {

// More edits than a third of the word is another word.
int allowed_edits(std::string_view word) { return std::max(1, static_cast<int>(word.size() + 1) / 3); }

}  // namespace

int edit_distance(std::string_view a, std::string_view b) {
  // Rows of the usual table, for the prefixes of a that end at i-2, i-1 and i.
  std::vector<int> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string nearest_word(std::string_view word, const std::vector<std::string_view>& candidates) {
  int best = allowed_edits(word) + 1;
  std::string_view nearest;
  for (const std::string_view candidate : candidates) {
    const int distance = edit_distance(word, candidate);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return std::string(nearest);
}

std::string nearest_recipe_key(const RecipeSchema& schema, std::string_view section, std::string_view name) {
  // A wrong section costs at most one edit, so that [model] lr finds optimizer.lr.
  int best = allowed_edits(name) + 2;
  const RecipeKey* nearest = nullptr;
  for (const RecipeKey& key : schema) {
    const int name_distance = edit_distance(name, key.name);
    if (name_distance > allowed_edits(name)) continue;
    const int distance = name_distance + std::min(1, edit_distance(section, key.section));
    if (distance < best) {
      best = distance;
      nearest = &key;
    }
  }
  return nearest ? nearest->full_name() : "";
}

}  // namespace convoy
