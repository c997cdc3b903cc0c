#include "core/graph/passes/groups.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/graph/passes/fused_program.h"
#include "core/graph/tile_reduction.h"

namespace convoy {
namespace {

std::size_t index(std::int32_t id) { return static_cast<std::size_t>(id); }

class Grouping {
 public:
  explicit Grouping(const Graph& graph)
      : graph_(graph),
        nodes_(graph.nodes()),
        group_of_(nodes_.size()),
        users_(graph.values().size()),
        kept_(graph.values().size(), false),
        root_(graph.values().size()) {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      groups_.push_back({static_cast<NodeId>(i)});
      group_of_[i] = static_cast<std::int32_t>(i);
      for (const ValueId input : nodes_[i].inputs) users_[index(input)].push_back(static_cast<NodeId>(i));
    }
    for (std::size_t i = 0; i < root_.size(); ++i) root_[i] = static_cast<ValueId>(i);
    for (const Node& node : nodes_) {
      if (node.op->traits().view) root_[index(node.outputs[0])] = root_[index(node.inputs[0])];
    }
    for (const Result& result : graph.results()) kept_[index(result.value)] = true;
    for (const Assignment& assignment : graph.assignments()) kept_[index(assignment.value)] = true;
    most_allowed_ = static_cast<std::int64_t>(1.01 * static_cast<double>(most_alive()));
  }

  std::vector<Group> run() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (!is_elementwise(nodes_[i]) && !is_reduction(nodes_[i])) continue;
      for (const ValueId input : nodes_[i].inputs) {
        const NodeId producer = graph_.value(input).node;
        if (producer >= 0) try_merge(group_of_[index(producer)], group_of_[i]);
      }
    }
    std::vector<Group> groups;
    for (const std::vector<NodeId>& members : groups_) {
      if (members.size() > 1) groups.push_back(group(members));
    }
    return groups;
  }

 private:
  static bool is_elementwise(const Node& node) {
    const Traits traits = node.op->traits();
    return traits.tiled && !traits.update && node.outputs.size() == 1;
  }
  bool is_reduction(const Node& node) const {
    const auto* reducible = dynamic_cast<const TileReducible*>(node.op.get());
    return reducible != nullptr && reducible->tile_reduction(graph_.value(node.inputs[0]).spec) != nullptr;
  }
  const Shape& shape(NodeId node) const { return graph_.value(graph_.node(node).outputs[0]).spec.shape; }

  // `before` holds a producer of what `into`, which ends with the newest node, reads.
  void try_merge(std::int32_t before, std::int32_t into) {
    if (before == into) return;
    const std::vector<NodeId>& first = groups_[index(before)];
    const std::vector<NodeId>& second = groups_[index(into)];
    const NodeId a = first.back(), b = second.back();
    if (!is_elementwise(graph_.node(a)) || graph_.node(a).phase != graph_.node(b).phase) return;
    const bool reduces = !is_elementwise(graph_.node(b));
    if (reduces ? group(first).outputs != graph_.node(b).inputs || !is_read_once(graph_.node(b).inputs[0])
                : shape(a) != shape(b))
      return;
    std::vector<NodeId> merged;
    std::merge(first.begin(), first.end(), second.begin(), second.end(), std::back_inserter(merged));
    if (!is_possible(merged)) return;
    const std::vector<NodeId> old_first = first, old_second = second;
    set(before, {});
    set(into, std::move(merged));
    if (most_alive() <= most_allowed_) return;
    set(before, old_first);
    set(into, old_second);
  }

  void set(std::int32_t group, std::vector<NodeId> members) {
    for (const NodeId member : members) group_of_[index(member)] = group;
    groups_[index(group)] = std::move(members);
  }

  // Members run where the last one stands: whoever else reads them must stand behind it.
  bool is_possible(const std::vector<NodeId>& members) const {
    for (const NodeId member : members) {
      for (const NodeId user : users_[index(graph_.node(member).outputs[0])]) {
        if (user < members.back() && !std::binary_search(members.begin(), members.end(), user)) return false;
      }
    }
    return members.size() <= FusedProgram::kMaxSteps &&  // a reduction counts as one
           group(members).inputs.size() <= FusedProgram::kMaxInputs;
  }

  bool is_read_once(ValueId value) const { return users_[index(value)].size() == 1 && !kept_[index(value)]; }

  bool is_internal(ValueId value) const {
    const NodeId node = graph_.value(value).node;
    if (node < 0 || kept_[index(value)]) return false;
    for (const NodeId user : users_[index(value)]) {
      if (group_of_[index(user)] != group_of_[index(node)]) return false;
    }
    return !users_[index(value)].empty();
  }

  Group group(const std::vector<NodeId>& members) const {
    Group result{.members = members, .reduction = -1, .inputs = {}, .outputs = {}};
    const auto is_member = [&](NodeId node) { return std::binary_search(members.begin(), members.end(), node); };
    for (const NodeId member : members) {
      const Node& node = graph_.node(member);
      for (const ValueId input : node.inputs) {
        if (is_member(graph_.value(input).node)) continue;
        if (std::find(result.inputs.begin(), result.inputs.end(), input) == result.inputs.end())
          result.inputs.push_back(input);
      }
      const ValueId output = node.outputs[0];
      const auto& users = users_[index(output)];
      if (kept_[index(output)] || users.empty() || !std::all_of(users.begin(), users.end(), is_member))
        result.outputs.push_back(output);
    }
    if (members.size() > 1 && !is_elementwise(graph_.node(members.back()))) {
      result.reduction = members.back();
      result.members.pop_back();
    }
    return result;
  }

  // Bytes of the values that are alive at once, the most over all nodes, as the planner lays them out: views live in
  // what they see, and an elementwise operator's only output may lie in an operand that dies.
  std::int64_t most_alive() const {
    const auto end = static_cast<std::int32_t>(nodes_.size());
    std::vector<std::int32_t> dies(graph_.values().size(), -1);
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      for (const ValueId input : nodes_[i].inputs) {
        std::int32_t& last = dies[index(root_[index(input)])];
        last = std::max(last, runs_at(static_cast<NodeId>(i)));
      }
    }
    for (const Assignment& assignment : graph_.assignments()) dies[index(root_[index(assignment.value)])] = end;
    std::vector<std::int64_t> changes(nodes_.size() + 2, 0);
    for (std::size_t value = 0; value < dies.size(); ++value) {
      const auto id = static_cast<ValueId>(value);
      const NodeId node = graph_.value(id).node;
      if (root_[value] != id || graph_.value(id).origin == Value::Origin::kState || is_internal(id)) continue;
      const auto bytes = static_cast<std::int64_t>(graph_.value(id).spec.bytes());
      const std::int32_t born = node < 0 ? 0 : runs_at(node) + (lies_in_operand(node, dies) ? 1 : 0);
      const std::int32_t died = std::max(dies[value], node < 0 ? 0 : runs_at(node));
      if (died < born) continue;
      changes[index(born)] += bytes;
      changes[index(died) + 1] -= bytes;
    }
    std::int64_t alive = 0, most = 0;
    for (const std::int64_t change : changes) most = std::max(most, alive += change);
    return most;
  }

  NodeId runs_at(NodeId node) const { return groups_[index(group_of_[index(node)])].back(); }

  bool lies_in_operand(NodeId node, const std::vector<std::int32_t>& dies) const {
    if (!graph_.node(node).op->traits().elementwise) return false;
    const std::vector<NodeId>& members = groups_[index(group_of_[index(node)])];
    std::size_t outputs = 0;
    for (const NodeId member : members) {
      for (const ValueId output : graph_.node(member).outputs) outputs += is_internal(output) ? 0 : 1;
    }
    if (outputs != 1) return false;
    const Spec& spec = graph_.value(graph_.node(node).outputs[0]).spec;
    for (const NodeId member : members) {
      for (const ValueId input : graph_.node(member).inputs) {
        const ValueId root = root_[index(input)];
        if (dies[index(root)] == members.back() && graph_.value(input).spec == spec && !is_internal(input) &&
            graph_.value(root).spec.bytes() == spec.bytes() && graph_.value(root).origin != Value::Origin::kState)
          return true;
      }
    }
    return false;
  }

  const Graph& graph_;
  const std::span<const Node> nodes_;
  std::vector<std::vector<NodeId>> groups_;  // each node's own at first
  std::vector<std::int32_t> group_of_;       // by node
  std::vector<std::vector<NodeId>> users_;   // by value
  std::vector<bool> kept_;                   // by value: a result, or assigned
  std::vector<ValueId> root_;                // by value: what it is a view of
  std::int64_t most_allowed_ = 0;
};

}  // namespace

std::vector<Group> elementwise_groups(const Graph& graph) { return Grouping(graph).run(); }

}  // namespace convoy
