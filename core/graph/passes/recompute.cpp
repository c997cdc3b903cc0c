#include <map>
#include <set>
#include <vector>

#include "core/graph/passes/passes.h"
#include "core/graph/passes/rewriter.h"

namespace convoy {
namespace {

// A block's forward pass, in part, as it runs again: the nodes that make what its gradients read.
class Recompute {
 public:
  explicit Recompute(const Graph& graph) : graph_(graph), rewriter_(graph) { find_boundaries(); }

  Graph run() {
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const auto id = static_cast<NodeId>(i);
      const Node& node = graph_.node(id);
      if (node.phase != Phase::kBackward) {
        rewriter_.copy(id);
        continue;
      }
      std::vector<ValueId> inputs;
      for (const ValueId input : node.inputs) inputs.push_back(for_backward(input));
      const NodeId now = rewriter_.append(node.op, node, std::move(inputs));
      for (std::size_t k = 0; k < node.outputs.size(); ++k)
        rewriter_.replace(node.outputs[k], rewriter_.graph().node(now).outputs[k]);
    }
    return rewriter_.finish();
  }

 private:
  // The block that a value is made in by the forward pass.
  std::int32_t block_of(ValueId value) const {
    const NodeId node = graph_.value(value).node;
    if (node < 0 || graph_.node(node).phase != Phase::kForward) return kNoBlock;
    return graph_.node(node).block;
  }

  // What the forward pass reads of a block from outside is there anyway: it is the next block's input, and kept. A view
  // keeps what it sees.
  void find_boundaries() {
    for (std::size_t i = graph_.nodes().size(); i-- > 0;) {
      const Node& node = graph_.nodes()[i];
      const bool kept_view = node.op->traits().view && kept_.contains(node.outputs[0]);
      for (const ValueId input : node.inputs) {
        if (node.phase == Phase::kForward ? kept_view || block_of(input) != node.block : false) kept_.insert(input);
      }
    }
    for (const Node& node : graph_.nodes()) {
      if (node.phase != Phase::kBackward) continue;
      for (const ValueId input : node.inputs) need(input);
    }
  }

  bool is_recomputed(ValueId value) const { return block_of(value) != kNoBlock && !kept_.contains(value); }

  // A backward node reads the value: its block's part of the forward pass that leads to it is to run again.
  void need(ValueId value) {
    if (!is_recomputed(value)) return;
    const NodeId node = graph_.value(value).node;
    if (!needed_[block_of(value)].insert(node).second) return;
    for (const ValueId input : graph_.node(node).inputs) need(input);
  }

  // The new value that a backward node reads. The first one that reads of a block has all of it run again.
  ValueId for_backward(ValueId value) {
    if (!is_recomputed(value)) return rewriter_.now(value);
    const auto nodes = needed_.find(block_of(value));
    if (nodes != needed_.end()) {
      for (const NodeId id : nodes->second) again(graph_.node(id));
      needed_.erase(nodes);
    }
    return again_.at(value);
  }

  void again(const Node& node) {
    std::vector<ValueId> inputs;
    for (const ValueId input : node.inputs)
      inputs.push_back(is_recomputed(input) ? again_.at(input) : rewriter_.now(input));
    Node purpose = node;
    purpose.phase = Phase::kRecompute;
    const NodeId now = rewriter_.append(node.op, purpose, std::move(inputs));
    for (std::size_t k = 0; k < node.outputs.size(); ++k)
      again_[node.outputs[k]] = rewriter_.graph().node(now).outputs[k];
  }

  const Graph& graph_;
  Rewriter rewriter_;
  std::set<ValueId> kept_;
  std::map<std::int32_t, std::set<NodeId>> needed_;  // by block, in the order in which they ran
  std::map<ValueId, ValueId> again_;                 // old values to recomputed ones
};

}  // namespace

Graph recompute_blocks(const Graph& graph) { return Recompute(graph).run(); }

}  // namespace convoy
