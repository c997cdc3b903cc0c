#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <map>

#include "core/base/hash.h"
#include "core/base/quantity.h"
#include "core/graph/graph.h"

namespace convoy {
namespace {

std::string names(std::span<const ValueId> ids) {
  std::string text;
  for (const ValueId id : ids) text += fmt::format("{}%{}", text.empty() ? "" : ", ", id);
  return text;
}

std::string specs(const Graph& graph, std::span<const ValueId> ids) {
  std::string text;
  for (const ValueId id : ids) text += (text.empty() ? "" : ", ") + graph.value(id).spec.to_string();
  return text;
}

template <typename Out>
void write_node(const Graph& graph, const Node& node, Out out) {
  fmt::format_to(out, "{} = {} {} {}: {}", names(node.outputs), name_of(node.phase), describe(*node.op),
                 names(node.inputs), specs(graph, node.outputs));
}

std::string kind_of(const Result& result) {
  if (!result.reduction) return "result";
  return fmt::format("{} all_reduce(axis={}, bucket={})", name_of(Phase::kCommunication), result.reduction->axis,
                     result.reduction->bucket);
}

// By node, the sums that begin behind it.
std::multimap<NodeId, const Result*> reductions_of(const Graph& graph) {
  std::multimap<NodeId, const Result*> reductions;
  for (const Result& result : graph.results()) {
    if (result.reduction) reductions.emplace(graph.value(result.value).node, &result);
  }
  return reductions;
}

}  // namespace

std::string to_text(const Graph& graph, bool with_costs) {
  std::string text;
  const auto out = std::back_inserter(text);
  const auto declare = [&](std::span<const ValueId> ids, std::string_view what) {
    for (const ValueId id : ids)
      fmt::format_to(out, "%{} = {} {}: {}\n", id, what, graph.value(id).name, graph.value(id).spec.to_string());
  };
  declare(graph.inputs(), "input");
  declare(graph.states(), "state");
  const std::multimap<NodeId, const Result*> reductions = reductions_of(graph);
  const auto write_reductions = [&](NodeId behind) {
    const auto [first, last] = reductions.equal_range(behind);
    for (auto it = first; it != last; ++it)
      fmt::format_to(out, "{} {} = %{}\n", kind_of(*it->second), it->second->name, it->second->value);
  };
  write_reductions(-1);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    write_node(graph, node, out);
    const Cost cost = cost_of(graph, node);
    if (with_costs) fmt::format_to(out, "  # {}, {}", with_prefix(cost.flops, "flop"), with_prefix(cost.bytes, "B"));
    text += '\n';
    write_reductions(static_cast<NodeId>(i));
  }
  for (const Result& result : graph.results()) {
    if (!result.reduction) fmt::format_to(out, "result {} = %{}\n", result.name, result.value);
  }
  for (const Assignment& assignment : graph.assignments())
    fmt::format_to(out, "assign %{} = %{}\n", assignment.state, assignment.value);
  return text;
}

std::string fingerprint(const Graph& graph) {
  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "inputs {}: {}\n", names(graph.inputs()), specs(graph, graph.inputs()));
  fmt::format_to(out, "states {}: {}\n", names(graph.states()), specs(graph, graph.states()));
  for (const Node& node : graph.nodes()) {
    write_node(graph, node, out);
    text += '\n';
  }
  for (const Result& result : graph.results()) fmt::format_to(out, "{} %{}\n", kind_of(result), result.value);
  for (const Assignment& assignment : graph.assignments())
    fmt::format_to(out, "assign %{} = %{}\n", assignment.state, assignment.value);
  Xxh3Hasher128 hasher;
  hasher.update(std::as_bytes(std::span(text)));
  return hasher.hex();
}

}  // namespace convoy
