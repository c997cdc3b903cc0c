#include "core/graph/passes/aliases.h"

#include <fmt/format.h>

#include <optional>

namespace convoy {

std::vector<Alias> aliases_of(const Graph& graph) {
  std::vector<Alias> aliases(graph.values().size());
  for (std::size_t i = 0; i < aliases.size(); ++i)
    aliases[i] = {static_cast<ValueId>(i), Layout::contiguous(graph.values()[i].spec.shape)};
  for (const Node& node : graph.nodes()) {
    if (!node.op->traits().view) continue;
    const Alias& from = aliases[static_cast<std::size_t>(node.inputs[0])];
    if (const std::optional<Layout> layout = node.op->view(from.layout))
      aliases[static_cast<std::size_t>(node.outputs[0])] = {from.root, *layout};
  }
  return aliases;
}

std::string text_of(const Layout& layout) {
  Shape strides = layout.strides;
  for (int i = 0; i < strides.rank(); ++i) {
    if (layout.shape[i] == 1) strides[i] = 0;  // nobody steps there
  }
  return fmt::format("{} by {} at {}", layout.shape.to_string(), strides.to_string(), layout.offset);
}

}  // namespace convoy
