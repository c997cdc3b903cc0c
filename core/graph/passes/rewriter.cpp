#include "core/graph/passes/rewriter.h"

#include <utility>

namespace convoy {

Rewriter::Rewriter(const Graph& from) : from_(from), to_(from.device()), now_(from.values().size(), -1) {
  for (const ValueId id : from.inputs()) replace(id, to_.add_input(from.value(id).name, from.value(id).spec));
  for (const ValueId id : from.states()) replace(id, to_.add_state(from.value(id).name, from.value(id).spec));
}

std::vector<ValueId> Rewriter::now(std::span<const ValueId> old) const {
  std::vector<ValueId> values;
  values.reserve(old.size());
  for (const ValueId id : old) values.push_back(now(id));
  return values;
}

NodeId Rewriter::copy(NodeId old) {
  const Node& node = from_.node(old);
  const NodeId id = append(node.op, node, now(node.inputs));
  for (std::size_t i = 0; i < node.outputs.size(); ++i) replace(node.outputs[i], to_.node(id).outputs[i]);
  return id;
}

NodeId Rewriter::append(OpPtr op, const Node& like, std::vector<ValueId> inputs) {
  return to_.append(std::move(op), like.phase, std::move(inputs), like.block);
}

ValueId Rewriter::append_one(OpPtr op, const Node& like, std::vector<ValueId> inputs) {
  return to_.node(append(std::move(op), like, std::move(inputs))).outputs[0];
}

Graph Rewriter::finish() {
  for (const Result& result : from_.results()) to_.add_result(result.name, now(result.value), result.reduction);
  for (const Assignment& assignment : from_.assignments()) to_.assign(now(assignment.state), now(assignment.value));
  return std::move(to_);
}

}  // namespace convoy
