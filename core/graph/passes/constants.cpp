#include <optional>
#include <vector>

#include "core/graph/passes/passes.h"
#include "core/graph/passes/rewriter.h"
#include "core/graph/passes/uniform.h"

namespace convoy {

Graph fold_constants(const Graph& graph) {
  const std::vector<std::optional<Uniform>> uniform = uniform_values(graph);
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    // Views cost nothing as they are; a constant is folded already.
    if (!node.op->traits().tiled || !uniform[static_cast<std::size_t>(node.outputs[0])]) {
      rewriter.copy(static_cast<NodeId>(i));
      continue;
    }
    const Shape& shape = graph.value(node.outputs[0]).spec.shape;
    ValueId value = rewriter.append_one(constant_op(*uniform[static_cast<std::size_t>(node.outputs[0])]), node, {});
    if (shape.rank() > 0) value = rewriter.append_one(repeat_op(shape), node, {value});
    rewriter.replace(node.outputs[0], value);
  }
  return rewriter.finish();
}

}  // namespace convoy
