#include "core/graph/graph.h"

#include <array>
#include <utility>

#include "core/base/error.h"

namespace convoy {

std::string_view name_of(Phase phase) {
  constexpr std::array<std::string_view, 5> kNames = {"forward", "recompute", "backward", "communication", "update"};
  return kNames[static_cast<std::size_t>(phase)];
}

Specs Graph::specs(std::span<const ValueId> ids) const {
  Specs result;
  result.reserve(ids.size());
  for (const ValueId id : ids) result.push_back(value(id).spec);
  return result;
}

ValueId Graph::add(Value value) {
  values_.push_back(std::move(value));
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Graph::add_input(std::string name, const Spec& spec) {
  inputs_.push_back(add({.spec = spec, .origin = Value::Origin::kInput, .name = std::move(name)}));
  return inputs_.back();
}

ValueId Graph::add_state(std::string name, const Spec& spec) {
  states_.push_back(add({.spec = spec, .origin = Value::Origin::kState, .name = std::move(name)}));
  return states_.back();
}

NodeId Graph::append(OpPtr op, Phase phase, std::vector<ValueId> inputs, std::int32_t block) {
  const auto id = static_cast<NodeId>(nodes_.size());
  Node node{.op = std::move(op), .phase = phase, .inputs = std::move(inputs), .outputs = {}, .block = block};
  const Specs outputs = node.op->infer(specs(node.inputs));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Spec spec = outputs[i];
    spec.device = device_;
    node.outputs.push_back(add({.spec = spec, .node = id, .output = static_cast<std::int32_t>(i), .name = {}}));
  }
  nodes_.push_back(std::move(node));
  return id;
}

Cost cost_of(const Graph& graph, const Node& node) {
  return node.op->cost(graph.specs(node.inputs), graph.specs(node.outputs));
}

Cost cost_of(const Graph& graph) {
  Cost total;
  for (const Node& node : graph.nodes()) total += cost_of(graph, node);
  return total;
}

}  // namespace convoy
