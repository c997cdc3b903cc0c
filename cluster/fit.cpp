#include "cluster/fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace convoy::cluster {
namespace {

constexpr std::size_t kMostKeys = 6;  // in one line

using Entry = std::pair<std::string, std::string>;

bool is_of_recipe(const Entry& entry) { return entry.first.starts_with(kRecipeEntry); }

std::string_view key_of(const Entry& entry) {
  return std::string_view(entry.first).substr(std::string_view(kRecipeEntry).size());
}

const Entry* find(const Fingerprint& fingerprint, const std::string& name) {
  const auto found = std::ranges::find(fingerprint.entries(), name, &Entry::first);
  return found == fingerprint.entries().end() ? nullptr : &*found;
}

// A key that one of the two does not have belongs to a kind that it has not chosen.
std::vector<std::string> recipe_differences(const Fingerprint& worker, const Fingerprint& run) {
  std::vector<std::string> differences;
  for (const Entry& entry : worker.entries()) {
    if (!is_of_recipe(entry)) continue;
    const Entry* const other = find(run, entry.first);
    if (other != nullptr && other->second == entry.second) continue;
    differences.push_back(fmt::format("{} = {} (the run: {})", key_of(entry), entry.second,
                                      other == nullptr ? "no such key" : other->second));
  }
  for (const Entry& entry : run.entries()) {
    if (is_of_recipe(entry) && find(worker, entry.first) == nullptr)
      differences.push_back(fmt::format("no {} (the run: {})", key_of(entry), entry.second));
  }
  return differences;
}

}  // namespace

std::optional<std::string> misfit(const Fingerprint& worker, const Fingerprint& run) {
  std::vector<std::string> differences = recipe_differences(worker, run);
  if (differences.empty()) return worker.difference(run);
  const std::size_t left_out = differences.size() - std::min(differences.size(), kMostKeys);
  differences.resize(differences.size() - left_out);
  return fmt::format("its recipe has {}{}", fmt::join(differences, ", "),
                     left_out == 0 ? "" : fmt::format(" and {} more that differ", left_out));
}

}  // namespace convoy::cluster
