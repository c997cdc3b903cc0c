#include <algorithm>
#include <map>
#include <memory>

#include "core/graph/passes/fused_elementwise.h"
#include "core/graph/passes/fused_reduction.h"
#include "core/graph/passes/groups.h"
#include "core/graph/passes/passes.h"
#include "core/graph/passes/rewriter.h"

namespace convoy {
namespace {

void append_fused(const Graph& graph, const Group& group, Rewriter& rewriter) {
  std::map<ValueId, std::int32_t> operands;
  for (const ValueId input : group.inputs) operands.emplace(input, static_cast<std::int32_t>(operands.size()));
  const ValueId reduced = group.reduction >= 0 ? graph.node(group.reduction).inputs[0] : -1;
  std::vector<FusedStep> steps;
  std::vector<std::int32_t> outputs;
  for (const NodeId member : group.members) {
    const Node& node = graph.node(member);
    const ValueId output = node.outputs[0];
    FusedStep step{.op = node.op, .operands = {}};
    for (const ValueId input : node.inputs) step.operands.push_back(operands.at(input));
    operands.emplace(output, static_cast<std::int32_t>(operands.size()));
    if (output == reduced || std::find(group.outputs.begin(), group.outputs.end(), output) != group.outputs.end())
      outputs.push_back(static_cast<std::int32_t>(steps.size()));
    steps.push_back(std::move(step));
  }
  FusedProgram program(graph.specs(group.inputs), std::move(steps), std::move(outputs));
  OpPtr op;
  if (group.reduction >= 0) {
    op = std::make_shared<FusedReduction>(std::move(program), graph.node(group.reduction).op);
  } else {
    op = std::make_shared<FusedElementwise>(std::move(program));
  }
  const NodeId fused = rewriter.append(std::move(op), graph.node(group.last()), rewriter.now(group.inputs));
  for (std::size_t k = 0; k < group.outputs.size(); ++k)
    rewriter.replace(group.outputs[k], rewriter.graph().node(fused).outputs[k]);
}

}  // namespace

Graph fuse_elementwise(const Graph& graph) {
  const std::vector<Group> groups = elementwise_groups(graph);
  std::map<NodeId, const Group*> group_of;
  for (const Group& group : groups) {
    for (const NodeId member : group.members) group_of.emplace(member, &group);
    if (group.reduction >= 0) group_of.emplace(group.reduction, &group);
  }
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const auto id = static_cast<NodeId>(i);
    const auto grouped = group_of.find(id);
    if (grouped == group_of.end()) {
      rewriter.copy(id);
    } else if (grouped->second->last() == id) {
      append_fused(graph, *grouped->second, rewriter);
    }
  }
  return rewriter.finish();
}

}  // namespace convoy
