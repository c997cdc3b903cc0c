#include <map>
#include <memory>
#include <utility>

#include "core/base/error.h"
#include "core/graph/passes/aliases.h"
#include "core/graph/passes/passes.h"
#include "core/graph/passes/rewriter.h"
#include "core/tensor/element_copy.h"

namespace convoy {
namespace {

// x with its elements in row-major order, without gaps.
class Reorder final : public Op {
 public:
  std::string_view name() const override { return "reorder"; }
  Traits traits() const override { return {.strided = true, .differentiable = false}; }
  Specs infer(std::span<const Spec> in) const override {
    if (in.size() != 1) fail(ErrorCode::kInvalidArgument, "reorder: got {} inputs; expected 1", in.size());
    return {in[0]};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return prepared([copy = ElementCopy(args.inputs[0], args.outputs[0])] { copy.run(); });
  }
};

}  // namespace

Graph share_copies(const Graph& graph) {
  const std::vector<Alias> aliases = aliases_of(graph);
  // Which uses a kernel is handed a copy for; views that copy, and those of states, which may lie anyhow, are left to
  // the planner.
  const auto is_copied = [&](const Node& node, ValueId input) {
    const Traits traits = node.op->traits();
    return !traits.view && !traits.strided && !traits.update &&
           !aliases[static_cast<std::size_t>(input)].layout.is_contiguous();
  };
  using Key = std::pair<ValueId, Phase>;
  std::map<Key, int> uses;
  for (const Node& node : graph.nodes()) {
    for (const ValueId input : node.inputs) {
      if (is_copied(node, input)) ++uses[{input, node.phase}];
    }
  }
  Rewriter rewriter(graph);
  const OpPtr reorder = std::make_shared<Reorder>();
  std::map<Key, ValueId> copies;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    std::vector<ValueId> inputs = rewriter.now(node.inputs);
    bool changed = false;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const Key key{node.inputs[k], node.phase};
      if (!is_copied(node, node.inputs[k]) || uses[key] < 2) continue;
      const auto [copy, is_new] = copies.try_emplace(key);
      if (is_new) copy->second = rewriter.append_one(reorder, node, {inputs[k]});
      inputs[k] = copy->second;
      changed = true;
    }
    if (!changed) {
      rewriter.copy(static_cast<NodeId>(i));
      continue;
    }
    const NodeId now = rewriter.append(node.op, node, std::move(inputs));
    for (std::size_t k = 0; k < node.outputs.size(); ++k)
      rewriter.replace(node.outputs[k], rewriter.graph().node(now).outputs[k]);
  }
  return rewriter.finish();
}

}  // namespace convoy
