#include <fmt/format.h>

#include <string>
#include <unordered_map>

#include "core/graph/passes/passes.h"
#include "core/graph/passes/rewriter.h"

namespace convoy {
namespace {

// Equal for nodes that compute the same in the same phase. Outputs of equal nodes have equal specs: an operator's
// shape rule is a function of its attributes and inputs.
std::string identity(const Node& node, std::span<const ValueId> inputs) {
  std::string text = fmt::format("{} {}", name_of(node.phase), describe(*node.op));
  for (const ValueId input : inputs) text += fmt::format(" %{}", input);
  return text;
}

}  // namespace

Graph merge_common(const Graph& graph) {
  Rewriter rewriter(graph);
  std::unordered_map<std::string, NodeId> known;  // in the new graph
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    const Traits traits = node.op->traits();
    // Two draws of random numbers are two, and an update writes state: neither is worth a pass's cleverness.
    if (traits.random || traits.update) {
      rewriter.copy(static_cast<NodeId>(i));
      continue;
    }
    const std::string key = identity(node, rewriter.now(node.inputs));
    const auto same = known.find(key);
    if (same == known.end()) {
      known.emplace(key, rewriter.copy(static_cast<NodeId>(i)));
      continue;
    }
    const Node& first = rewriter.graph().node(same->second);
    for (std::size_t k = 0; k < node.outputs.size(); ++k) rewriter.replace(node.outputs[k], first.outputs[k]);
  }
  return rewriter.finish();
}

}  // namespace convoy
