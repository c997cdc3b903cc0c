#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

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
  for (const Node& node : graph.nodes()) {
    write_node(graph, node, out);
    const Cost cost = cost_of(graph, node);
    if (with_costs) fmt::format_to(out, "  # {}, {}", with_prefix(cost.flops, "flop"), with_prefix(cost.bytes, "B"));
    text += '\n';
  }
  for (const Result& result : graph.results()) fmt::format_to(out, "result {} = %{}\n", result.name, result.value);
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
  for (const Result& result : graph.results()) fmt::format_to(out, "result %{}\n", result.value);
  for (const Assignment& assignment : graph.assignments())
    fmt::format_to(out, "assign %{} = %{}\n", assignment.state, assignment.value);
  Xxh3Hasher128 hasher;
  hasher.update(std::as_bytes(std::span(text)));
  return hasher.hex();
}

}  // namespace convoy
