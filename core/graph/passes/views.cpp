#include <fmt/format.h>

#include <string>
#include <unordered_map>

#include "core/graph/passes/aliases.h"
#include "core/graph/passes/passes.h"
#include "core/graph/passes/rewriter.h"

namespace convoy {

Graph remove_views(const Graph& graph) {
  const std::vector<Alias> aliases = aliases_of(graph);
  Rewriter rewriter(graph);
  std::unordered_map<std::string, ValueId> known;  // old values by what they see
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!node.op->traits().view) {
      rewriter.copy(static_cast<NodeId>(i));
      continue;
    }
    const ValueId output = node.outputs[0];
    const auto& [root, layout] = aliases[static_cast<std::size_t>(output)];
    const std::string seen = text_of(layout);
    if (root != output && seen == text_of(aliases[static_cast<std::size_t>(root)].layout)) {
      rewriter.replace(output, rewriter.now(root));
      continue;
    }
    const auto [same, is_new] = known.emplace(fmt::format("{} %{} {}", name_of(node.phase), root, seen), output);
    if (is_new) {
      rewriter.copy(static_cast<NodeId>(i));
    } else {
      rewriter.replace(output, rewriter.now(same->second));
    }
  }
  return rewriter.finish();
}

}  // namespace convoy
