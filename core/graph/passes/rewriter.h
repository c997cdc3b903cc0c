// Makes a graph anew out of another one, node by node in the order of the calls: how passes edit.
#pragma once

#include <vector>

#include "core/graph/graph.h"

namespace convoy {

class Rewriter {
 public:
  // Declares the inputs and states of `from`, which must outlive this.
  explicit Rewriter(const Graph& from);

  // The new value that stands for one of the old graph.
  ValueId now(ValueId old) const { return now_[static_cast<std::size_t>(old)]; }
  std::vector<ValueId> now(std::span<const ValueId> old) const;
  // From here on `value`, a new one, stands for `old`.
  void replace(ValueId old, ValueId value) { now_[static_cast<std::size_t>(old)] = value; }

  // The old node, with what now stands for its inputs.
  NodeId copy(NodeId old);
  // A node of another operator for the old one's purpose (phase, block); its inputs are new values.
  NodeId append(OpPtr op, const Node& like, std::vector<ValueId> inputs);
  // The same with one output: the new value.
  ValueId append_one(OpPtr op, const Node& like, std::vector<ValueId> inputs);

  const Graph& graph() const { return to_; }
  // Copies results and assignments. Nothing else may follow.
  Graph finish();

 private:
  const Graph& from_;
  Graph to_;
  std::vector<ValueId> now_;
};

}  // namespace convoy
