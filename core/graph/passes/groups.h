// Which elementwise nodes of a graph go over memory together.
#pragma once

#include <vector>

#include "core/graph/graph.h"

namespace convoy {

struct Group {
  std::vector<NodeId> members;   // in their order; the group runs where the last one stands
  std::vector<ValueId> inputs;   // of members, from outside
  std::vector<ValueId> outputs;  // of members, needed outside, in the members' order
};

// Groups of two nodes and more, of one phase and one shape. A group is made where its values live no longer than
// memory allows: the most bytes alive at once do not grow.
std::vector<Group> elementwise_groups(const Graph& graph);

}  // namespace convoy
