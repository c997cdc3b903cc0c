#include "core/graph/passes/pass.h"

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "core/base/recipe_suggest.h"
#include "core/graph/passes/passes.h"

namespace convoy {
namespace {

constexpr std::array kPasses = {
    Pass{"constants", "elements that are all the same are one, computed once a run", fold_constants, true},
    Pass{"identities", "operators that change nothing go", remove_identities, true},
    Pass{"views", "views of views that cancel out go", remove_views, true},
    Pass{"common-subexpressions", "nothing is computed twice in a phase", merge_common, true},
    Pass{"dead-code", "what nobody needs is not computed", remove_dead, true},
    Pass{kRecompute, "blocks are computed again in the backward pass: less memory, more time", recompute_blocks, false},
    Pass{"rematerialize", "cheap values are made again in the backward pass, not kept", rematerialize, true},
    Pass{"reorders", "a strided value is put in order once for all who need it", share_copies, true},
    Pass{"fusion", "elementwise operators and reductions go over memory together", fuse_elementwise, true},
    Pass{kInPlace, "elementwise operators write over operands that nobody needs any more", nullptr, true},
};

// `words`: what else could have been meant.
std::size_t index_of(std::string_view name, std::vector<std::string_view> words = {}) {
  std::vector<std::string_view> names;
  for (const Pass& pass : kPasses) names.push_back(pass.name);
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  words.insert(words.end(), names.begin(), names.end());
  const std::string nearest = nearest_word(name, words);
  if (!nearest.empty()) fail(ErrorCode::kUsage, "there is no pass '{}'; did you mean '{}'?", name, nearest);
  std::string known;
  for (const std::string_view word : words) known += (known.empty() ? "" : ", ") + std::string(word);
  fail(ErrorCode::kUsage, "there is no pass '{}'; expected one of {}", name, known);
}

std::string_view trimmed(std::string_view word) {
  while (word.starts_with(' ')) word.remove_prefix(1);
  while (word.ends_with(' ')) word.remove_suffix(1);
  return word;
}

}  // namespace

std::span<const Pass> all_passes() { return kPasses; }

PassList PassList::defaults() {
  PassList list;
  for (const Pass& pass : kPasses) {
    if (pass.by_default) list.add(pass.name);
  }
  return list;
}

bool PassList::contains(std::string_view name) const {
  const std::size_t index = index_of(name);
  return index < on_.size() && on_[index];
}

void PassList::add(std::string_view name) {
  const std::size_t index = index_of(name, {"all", "none"});
  on_.resize(kPasses.size());
  on_[index] = true;
}

void PassList::remove(std::string_view name) {
  const std::size_t index = index_of(name);
  on_.resize(kPasses.size());
  on_[index] = false;
}

std::string PassList::to_string() const {
  std::string text;
  for (const Pass& pass : kPasses) {
    if (contains(pass.name)) text += (text.empty() ? "" : ",") + std::string(pass.name);
  }
  return text.empty() ? "none" : text;
}

PassList parse_passes(std::string_view text) {
  PassList list = trimmed(text).starts_with('-') ? PassList::defaults() : PassList::none();
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = trimmed(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (word == "none") {
      list = PassList::none();
    } else if (word == "all") {
      for (const Pass& pass : kPasses) {
        if (pass.by_default) list.add(pass.name);
      }
    } else if (word.starts_with('-')) {
      list.remove(word.substr(1));
    } else {
      list.add(word);
    }
  }
  return list;
}

Graph optimise(Graph graph, const PassList& passes, const PassObserver& observer) {
  for (const Pass& pass : kPasses) {
    if (pass.run == nullptr || !passes.contains(pass.name)) continue;
    Graph after = pass.run(graph);
    try {
      verify(after);
    } catch (const Error& error) {
      fail(ErrorCode::kInternal, "pass {}: {}", pass.name, error.what());
    }
    if (observer) observer(pass, graph, after);
    graph = std::move(after);
  }
  return graph;
}

}  // namespace convoy
