// Which elementwise nodes of a graph, and reductions of what they make, go over memory together.
#pragma once

#include <vector>

#include "core/graph/graph.h"

namespace convoy {

struct Group {
  std::vector<NodeId> members;   // elementwise, in their order
  NodeId reduction = -1;         // of the only output of theirs that anybody reads, or none
  std::vector<ValueId> inputs;   // of members, from outside
  std::vector<ValueId> outputs;  // needed outside, in the members' order; the reduction's alone if there is one

  NodeId last() const { return reduction >= 0 ? reduction : members.back(); }  // the group runs where this one stands
};

// Groups of two nodes and more, of one phase, the elementwise ones of one shape. A group is made where its values live
// no longer than memory allows: the most bytes alive at once grow by a hundredth at most.
std::vector<Group> elementwise_groups(const Graph& graph);

}  // namespace convoy
