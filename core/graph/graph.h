// A captured computation: nodes that apply operators to typed values.
//
// Nodes stand in an order in which they can run. Every value is made once; nothing is written twice. State is read as
// it was before the run, and `assignments` say which values it holds afterwards, so that passes see data flow alone.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/op.h"

namespace convoy {

using ValueId = std::int32_t;
using NodeId = std::int32_t;

// What a node is for. A pass may not merge what belongs to different phases: a value that is computed again to save
// memory would be kept after all.
enum class Phase : std::uint8_t { kForward, kRecompute, kBackward, kCommunication, kUpdate };
std::string_view name_of(Phase phase);

// Nodes outside of all blocks.
constexpr std::int32_t kNoBlock = -1;

struct Value {
  enum class Origin : std::uint8_t { kInput, kState, kNode };
  Spec spec;
  Origin origin = Origin::kNode;
  NodeId node = -1;         // that makes it, for kNode
  std::int32_t output = 0;  // which of the node's outputs it is
  std::string name;         // of inputs and states
};

// The outputs of an operator with the update trait are the new elements of its first inputs.
struct Node {
  OpPtr op;
  Phase phase = Phase::kForward;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::int32_t block = kNoBlock;  // of the model that it was captured in (BlockScope)
};

// Communication: a sum over the workers along an axis of their mesh ("data"), as part of a bucket.
struct Reduction {
  std::string axis;
  std::int32_t bucket = 0;
  bool operator==(const Reduction&) const = default;
};

// A value that a run hands out, and what becomes of it if that is communication.
struct Result {
  std::string name;
  ValueId value = -1;
  std::optional<Reduction> reduction{};
};

// After a run `state` holds the elements of `value`.
struct Assignment {
  ValueId state = -1;
  ValueId value = -1;
};

class Graph {
 public:
  explicit Graph(Device& device) : device_(&device) {}

  Device& device() const { return *device_; }
  std::span<const Value> values() const { return values_; }
  std::span<const Node> nodes() const { return nodes_; }
  std::span<const Result> results() const { return results_; }
  std::span<const Assignment> assignments() const { return assignments_; }
  // In the order of their declaration.
  std::span<const ValueId> inputs() const { return inputs_; }
  std::span<const ValueId> states() const { return states_; }

  const Value& value(ValueId id) const { return values_[static_cast<std::size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes_[static_cast<std::size_t>(id)]; }
  Specs specs(std::span<const ValueId> ids) const;

  ValueId add_input(std::string name, const Spec& spec);
  ValueId add_state(std::string name, const Spec& spec);
  // Infers the outputs' specs and adds the node behind all others.
  NodeId append(OpPtr op, Phase phase, std::vector<ValueId> inputs, std::int32_t block = kNoBlock);
  void add_result(std::string name, ValueId value, std::optional<Reduction> reduction = {}) {
    results_.push_back({std::move(name), value, std::move(reduction)});
  }
  void assign(ValueId state, ValueId value) { assignments_.push_back({state, value}); }

 private:
  ValueId add(Value value);

  Device* device_;
  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<Result> results_;
  std::vector<Assignment> assignments_;
  std::vector<ValueId> inputs_, states_;
};

// Throws Error(kInternal) that names the node or value where the graph is not what the comments above say: ids out of
// range, a value used before it is made, specs that the operator would not infer, state assigned twice, ….
void verify(const Graph& graph);

// Of one node, and of all of a graph's, each run once.
Cost cost_of(const Graph& graph, const Node& node);
Cost cost_of(const Graph& graph);

// One line a value and node, with what a node costs where `with_costs`:
//
//   %0 = input x: f32[8, 4]
//   %3, %4 = forward linear(activation=gelu) %0, %1, %2: f32[8, 2], f32[8, 2]  # 128 flop, 296 B
//   communication all_reduce(axis=data, bucket=0) weight = %5
//   result loss = %7
//   assign %1 = %9
std::string to_text(const Graph& graph, bool with_costs = false);

// A hash of everything that decides what a run computes; names of values do not.
std::string fingerprint(const Graph& graph);

}  // namespace convoy
