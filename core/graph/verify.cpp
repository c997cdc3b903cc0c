#include <set>

#include "core/base/error.h"
#include "core/graph/graph.h"

namespace convoy {
namespace {

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph), made_(graph.values().size(), false) {}

  void run() {
    declarations(graph_.inputs(), Value::Origin::kInput);
    declarations(graph_.states(), Value::Origin::kState);
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) node(static_cast<NodeId>(i));
    for (std::size_t i = 0; i < made_.size(); ++i) {
      if (!made_[i]) fail(ErrorCode::kInternal, "graph: value %{} is made by nothing", i);
    }
    for (const Result& result : graph_.results()) use(result.value, "result " + result.name);
    std::set<ValueId> assigned;
    for (const Assignment& assignment : graph_.assignments()) this->assignment(assignment, assigned);
  }

 private:
  const Value& known(ValueId id, const std::string& where) const {
    if (id < 0 || static_cast<std::size_t>(id) >= graph_.values().size())
      fail(ErrorCode::kInternal, "graph: {}: there is no value %{}", where, id);
    return graph_.value(id);
  }

  void make(ValueId id, const std::string& where) {
    known(id, where);
    if (made_[static_cast<std::size_t>(id)]) fail(ErrorCode::kInternal, "graph: {}: %{} is made twice", where, id);
    made_[static_cast<std::size_t>(id)] = true;
  }

  void use(ValueId id, const std::string& where) const {
    known(id, where);
    if (!made_[static_cast<std::size_t>(id)])
      fail(ErrorCode::kInternal, "graph: {}: %{} is used before it is made", where, id);
  }

  void declarations(std::span<const ValueId> ids, Value::Origin origin) {
    for (const ValueId id : ids) {
      make(id, "declarations");
      if (graph_.value(id).origin != origin) fail(ErrorCode::kInternal, "graph: %{} is declared as what it is not", id);
    }
  }

  void node(NodeId id) {
    const Node& node = graph_.node(id);
    const std::string where = fmt::format("node {} {}", id, describe(*node.op));
    for (const ValueId input : node.inputs) use(input, where);
    const Specs specs = node.op->infer(graph_.specs(node.inputs));
    if (specs.size() != node.outputs.size())
      fail(ErrorCode::kInternal, "graph: {}: {} outputs, expected {}", where, node.outputs.size(), specs.size());
    const bool update = node.op->traits().update;
    if (update && node.outputs.size() > node.inputs.size())
      fail(ErrorCode::kInternal, "graph: {}: writes more than it reads", where);
    for (std::size_t i = 0; i < specs.size(); ++i) {
      make(node.outputs[i], where);
      const Value& value = graph_.value(node.outputs[i]);
      if (value.spec.dtype != specs[i].dtype || value.spec.shape != specs[i].shape)
        fail(ErrorCode::kInternal, "graph: {}: %{} is {}, expected {}", where, node.outputs[i], value.spec.to_string(),
             specs[i].to_string());
      if (value.origin != Value::Origin::kNode || value.node != id || value.output != static_cast<std::int32_t>(i))
        fail(ErrorCode::kInternal, "graph: {}: %{} says that it is made elsewhere", where, node.outputs[i]);
    }
  }

  void assignment(const Assignment& assignment, std::set<ValueId>& assigned) const {
    use(assignment.state, "assignments");
    use(assignment.value, "assignments");
    const Value& state = graph_.value(assignment.state);
    const Value& value = graph_.value(assignment.value);
    if (state.origin != Value::Origin::kState)
      fail(ErrorCode::kInternal, "graph: %{} is assigned to and no state", assignment.state);
    if (!assigned.insert(assignment.state).second)
      fail(ErrorCode::kInternal, "graph: state {} is assigned twice", state.name);
    if (state.spec != value.spec)
      fail(ErrorCode::kInternal, "graph: state {} is {}, assigned {}", state.name, state.spec.to_string(),
           value.spec.to_string());
  }

  const Graph& graph_;
  std::vector<bool> made_;
};

}  // namespace

void verify(const Graph& graph) { Verifier(graph).run(); }

}  // namespace convoy
