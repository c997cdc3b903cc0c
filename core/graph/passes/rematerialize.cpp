#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "core/graph/passes/passes.h"
#include "core/graph/passes/rewriter.h"

namespace convoy {
namespace {

// A forward value that the backward pass makes anew, and the operands it is made of.
struct Remade {
  OpPtr op;
  std::vector<ValueId> operands;
};

class Rematerialize {
 public:
  explicit Rematerialize(const Graph& graph)
      : graph_(graph), rewriter_(graph), first_read_(graph.values().size(), kNever), last_read_(first_read_) {
    find_reads();
    find_remade();
  }

  Graph run() {
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const auto id = static_cast<NodeId>(i);
      const Node& node = graph_.node(id);
      if (node.phase != Phase::kBackward || !reads_remade(node)) {
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
  static constexpr NodeId kNever = -1;

  const Node& maker(ValueId value) const { return graph_.node(graph_.value(value).node); }
  NodeId first_read(ValueId value) const { return first_read_[static_cast<std::size_t>(value)]; }
  NodeId last_read(ValueId value) const { return last_read_[static_cast<std::size_t>(value)]; }

  // Where the backward pass reads each value. What is handed out, assigned or seen through a view of the forward pass
  // stays as it is.
  void find_reads() {
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      for (const ValueId input : node.inputs) {
        if (node.phase == Phase::kForward && node.op->traits().view) stays_.insert(input);
        if (node.phase != Phase::kBackward) continue;
        NodeId& first = first_read_[static_cast<std::size_t>(input)];
        if (first == kNever) first = static_cast<NodeId>(i);
        last_read_[static_cast<std::size_t>(input)] = static_cast<NodeId>(i);
      }
    }
    for (const Result& result : graph_.results()) stays_.insert(result.value);
    for (const Assignment& assignment : graph_.assignments()) stays_.insert(assignment.value);
  }

  void find_remade() {
    for (std::size_t i = 0; i < graph_.values().size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      const Value& value = graph_.value(id);
      if (value.origin != Value::Origin::kNode || stays_.contains(id) || first_read(id) == kNever) continue;
      const Node& node = maker(id);
      if (node.phase != Phase::kForward) continue;
      const auto again = node.op->again(static_cast<std::size_t>(value.output), graph_.specs(node.inputs));
      if (!again) continue;
      Remade remade{.op = again->op != nullptr ? again->op : node.op, .operands = {}};
      for (const std::int32_t k : again->operands)
        remade.operands.push_back(k >= 0 ? node.inputs[static_cast<std::size_t>(k)]
                                         : node.outputs[static_cast<std::size_t>(~k)]);
      const auto is_there = [&](ValueId operand) { return is_kept(operand, first_read(id)); };
      if (std::ranges::all_of(remade.operands, is_there)) remade_.emplace(id, std::move(remade));
    }
  }

  // Alive at that node whatever happens: making a value from it costs no memory.
  bool is_kept(ValueId value, NodeId at) const {
    if (graph_.value(value).origin != Value::Origin::kNode) return true;
    return !remade_.contains(value) && last_read(value) >= at;
  }

  bool reads_remade(const Node& node) const {
    return std::ranges::any_of(node.inputs, [this](ValueId input) { return remade_.contains(input); });
  }

  // The new value that a backward node reads; made in front of the first one.
  ValueId for_backward(ValueId value) {
    const auto found = remade_.find(value);
    if (found == remade_.end()) return rewriter_.now(value);
    const auto [made, is_first] = made_.try_emplace(value, ValueId{-1});
    if (is_first) {
      Node purpose = maker(value);
      purpose.phase = Phase::kRecompute;
      made->second = rewriter_.append_one(found->second.op, purpose, rewriter_.now(found->second.operands));
    }
    return made->second;
  }

  const Graph& graph_;
  Rewriter rewriter_;
  std::vector<NodeId> first_read_, last_read_;  // by value, of backward nodes
  std::set<ValueId> stays_;
  std::map<ValueId, Remade> remade_;  // by old value
  std::map<ValueId, ValueId> made_;   // old values to new ones
};

}  // namespace

Graph rematerialize(const Graph& graph) { return Rematerialize(graph).run(); }

}  // namespace convoy
