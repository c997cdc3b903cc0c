#include "worker/graph_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace convoy::worker {
namespace {

cluster::GraphReport::Output output_of(const Spec& spec) {
  return {.dtype = std::string(name_of(spec.dtype)), .shape = {spec.shape.begin(), spec.shape.end()}};
}

// "h.0.attn.weight" folds as "h/0/attn/weight".
std::string folded(std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

std::string name_of_node(const std::string& function, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const std::string block = node.block == kNoBlock ? "" : fmt::format("block_{}/", node.block);
  return fmt::format("{}/{}/{}{}_{}", function, name_of(node.phase), block, node.op->name(), id);
}

}  // namespace

void add_graph(cluster::GraphReport& report, const std::string& function, const Graph& graph) {
  const auto name_of_value = [&](ValueId id) -> std::string {
    const Value& value = graph.value(id);
    switch (value.origin) {
      case Value::Origin::kInput:
        return fmt::format("{}/inputs/{}", function, folded(value.name));
      case Value::Origin::kState:
        return fmt::format("{}/state/{}", function, folded(value.name));
      case Value::Origin::kNode:
        break;
    }
    const std::string node = name_of_node(function, graph, value.node);
    return value.output == 0 ? node : fmt::format("{}:{}", node, value.output);
  };
  const auto declare = [&](std::span<const ValueId> ids, std::string_view op) {
    for (const ValueId id : ids)
      report.nodes.push_back({.name = name_of_value(id),
                              .op = std::string(op),
                              .inputs = {},
                              .attributes = "",
                              .outputs = {output_of(graph.value(id).spec)}});
  };
  declare(graph.inputs(), "input");
  declare(graph.states(), "state");
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    cluster::GraphReport::Node& added = report.nodes.emplace_back();
    added.name = name_of_node(function, graph, static_cast<NodeId>(i));
    added.op = std::string(node.op->name());
    added.attributes = describe(*node.op);
    for (const ValueId input : node.inputs) added.inputs.push_back(name_of_value(input));
    for (const ValueId output : node.outputs) added.outputs.push_back(output_of(graph.value(output).spec));
  }
  for (const Result& result : graph.results()) {
    const std::optional<Reduction>& reduction = result.reduction;
    const std::string group = reduction ? fmt::format("communication/bucket_{}", reduction->bucket) : "results";
    report.nodes.push_back({.name = fmt::format("{}/{}/{}", function, group, folded(result.name)),
                            .op = reduction ? "all_reduce" : "result",
                            .inputs = {name_of_value(result.value)},
                            .attributes = reduction ? fmt::format("axis={}", reduction->axis) : "",
                            .outputs = {output_of(graph.value(result.value).spec)}});
  }
  for (const Assignment& assignment : graph.assignments())
    report.nodes.push_back({.name = fmt::format("{}/assign/{}", function, folded(graph.value(assignment.state).name)),
                            .op = "assign",
                            .inputs = {name_of_value(assignment.value)},
                            .attributes = "",
                            .outputs = {}});
}

}  // namespace convoy::worker
