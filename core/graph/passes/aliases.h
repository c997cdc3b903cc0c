// How views see the values that they are views of.
#pragma once

#include <string>
#include <vector>

#include "core/graph/graph.h"

namespace convoy {

// By value: the value whose elements it sees, as if that lay without gaps, and where. What is no view, and what only a
// copy makes, sees itself.
struct Alias {
  ValueId root = -1;
  Layout layout;
};
std::vector<Alias> aliases_of(const Graph& graph);

// Equal for layouts that see the same elements in the same order.
std::string text_of(const Layout& layout);

}  // namespace convoy
