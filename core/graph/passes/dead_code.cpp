#include <vector>

#include "core/graph/passes/passes.h"
#include "core/graph/passes/rewriter.h"

namespace convoy {

Graph remove_dead(const Graph& graph) {
  std::vector<bool> needed(graph.values().size(), false);
  const auto need = [&](ValueId value) { needed[static_cast<std::size_t>(value)] = true; };
  const auto is_needed = [&](const Node& node) {
    bool any = false;
    for (const ValueId output : node.outputs) any = any || needed[static_cast<std::size_t>(output)];
    return any;
  };
  for (const Result& result : graph.results()) need(result.value);
  for (const Assignment& assignment : graph.assignments()) need(assignment.value);
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    if (!is_needed(graph.nodes()[i])) continue;
    for (const ValueId input : graph.nodes()[i].inputs) need(input);
  }
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    if (is_needed(graph.nodes()[i])) rewriter.copy(static_cast<NodeId>(i));
  }
  return rewriter.finish();
}

}  // namespace convoy
