#include "core/graph/interpreter.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/graph/apply.h"
#include "core/graph/recorder.h"

namespace convoy {
namespace {

void bind(const Graph& graph, std::span<const ValueId> ids, std::span<const Tensor> tensors, Tensors& values) {
  if (tensors.size() != ids.size())
    fail(ErrorCode::kInvalidArgument, "a graph with {} inputs or states was given {}", ids.size(), tensors.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Value& value = graph.value(ids[i]);
    if (tensors[i].spec() != value.spec)
      fail(ErrorCode::kInvalidArgument, "{} is {}, expected {}", value.name, tensors[i].spec().to_string(),
           value.spec.to_string());
    values[static_cast<std::size_t>(ids[i])] = tensors[i];
  }
}

// Which node reads each value last; results are read behind all of them.
std::vector<NodeId> last_uses(const Graph& graph) {
  std::vector<NodeId> last(graph.values().size(), -1);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    for (const ValueId input : graph.nodes()[i].inputs) last[static_cast<std::size_t>(input)] = static_cast<NodeId>(i);
  }
  const auto end = static_cast<NodeId>(graph.nodes().size());
  for (const Result& result : graph.results()) last[static_cast<std::size_t>(result.value)] = end;
  for (const Assignment& assignment : graph.assignments()) last[static_cast<std::size_t>(assignment.value)] = end;
  return last;
}

// An update writes its outputs over its inputs: over copies here, as values are made once.
Tensors run_update(const Node& node, Tensors inputs) {
  const std::size_t count = node.outputs.size();
  for (std::size_t i = 0; i < count; ++i) {
    const Tensor copy = Tensor::empty(inputs[i].spec());
    copy_elements(inputs[i], copy);
    inputs[i] = copy;
  }
  if (!node.op->traits().strided) {
    for (std::size_t i = count; i < inputs.size(); ++i) inputs[i] = contiguous(inputs[i]);
  }
  const Tensors outputs(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(count));
  apply_update(node.op, inputs, outputs);
  return outputs;
}

}  // namespace

Tensors interpret(const Graph& graph, const StepKey& key, std::span<const Tensor> inputs,
                  std::span<const Tensor> states) {
  const Recorder recorder(graph.device(), key, Recorder::Tape::kOff);
  Tensors values(graph.values().size());
  bind(graph, graph.inputs(), inputs, values);
  bind(graph, graph.states(), states, values);
  const std::vector<NodeId> last = last_uses(graph);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    Tensors operands;
    for (const ValueId input : node.inputs) operands.push_back(values[static_cast<std::size_t>(input)]);
    Tensors outputs =
        node.op->traits().update ? run_update(node, std::move(operands)) : convoy::apply(node.op, operands);
    for (std::size_t k = 0; k < outputs.size(); ++k)
      values[static_cast<std::size_t>(node.outputs[k])] = std::move(outputs[k]);
    for (const ValueId input : node.inputs) {
      if (last[static_cast<std::size_t>(input)] == static_cast<NodeId>(i) &&
          graph.value(input).origin == Value::Origin::kNode)
        values[static_cast<std::size_t>(input)] = {};
    }
  }
  Tensors results;
  for (const Result& result : graph.results())
    results.push_back(contiguous(values[static_cast<std::size_t>(result.value)]));
  for (const Assignment& assignment : graph.assignments()) {
    copy_elements(values[static_cast<std::size_t>(assignment.value)],
                  values[static_cast<std::size_t>(assignment.state)]);
  }
  return results;
}

}  // namespace convoy
