// Rewriting a captured graph: each pass is a pure function of a graph, keeps every bit of what a run computes, and is
// on or off by name.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/graph.h"

namespace convoy {

struct Pass {
  std::string_view name;
  std::string_view what;       // in one line, for --help
  Graph (*run)(const Graph&);  // null: done elsewhere (kInPlace), and only switched here
  bool by_default;
};

// Written over operands that die: by the planner (PlanOptions::in_place).
inline constexpr std::string_view kInPlace = "in-place";
// Costs time for memory: on where the recipe says train.recompute = "blocks".
inline constexpr std::string_view kRecompute = "recompute";

// All passes, in the order in which they run.
std::span<const Pass> all_passes();

// Which passes are on.
class PassList {
 public:
  static PassList none() { return PassList(); }
  static PassList defaults();

  bool contains(std::string_view name) const;
  // Throws Error(kUsage) that names the nearest right pass where there is no such one.
  void add(std::string_view name);
  void remove(std::string_view name);
  std::string to_string() const;  // as parse_passes reads it

 private:
  std::vector<bool> on_;  // by place in all_passes(); empty: none
};

// What --passes says: words in turn, with commas between them. "all" (the default ones), "none", a pass's name, or
// "-name" without it; a list that begins with "-name" starts from all. Throws Error(kUsage) for an unknown word.
PassList parse_passes(std::string_view text);

// Called behind every pass that ran; both graphs are valid during the call alone.
using PassObserver = std::function<void(const Pass& pass, const Graph& before, const Graph& after)>;

// Runs the passes, each once, the verifier behind each. Throws Error(kInternal) that names the pass whose graph is not
// sound.
Graph optimise(Graph graph, const PassList& passes, const PassObserver& observer = {});

}  // namespace convoy
