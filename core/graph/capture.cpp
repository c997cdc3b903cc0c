#include "core/graph/capture.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/tensor/not_capturable.h"

namespace convoy {
namespace {

// Whose line of the user's code an operator was applied in, its signature does not say: how far the capture had come is
// what there is to find it by.
std::string how_far(const Graph& graph) {
  if (graph.nodes().empty()) return "no operator comes before it";
  const Node& last = graph.nodes().back();
  return fmt::format("it comes right behind the step's operator {}, {}{}", graph.nodes().size(), describe(*last.op),
                     last.outputs.empty() ? "" : ": " + graph.value(last.outputs[0]).spec.to_string());
}

}  // namespace

Capture::Capture(Device& device) : graph_(device), recorder_(device, *this) {}

Tensor Capture::input(std::string name, const Spec& spec) { return symbol(graph_.add_input(std::move(name), spec)); }

void Capture::state(std::string name, const Tensor& tensor) {
  const bool is_new = state_of_.try_emplace(tensor.identity(), states_.size()).second;
  if (!is_new) fail(ErrorCode::kInvalidArgument, "{}: the tensor is declared as state already", name);
  const ValueId value = graph_.add_state(std::move(name), tensor.spec());
  states_.push_back({tensor, value, value});
}

Tensors Capture::states() const {
  Tensors tensors;
  for (const State& state : states_) tensors.push_back(state.tensor);
  return tensors;
}

void Capture::result(std::string name, const Tensor& value, std::optional<Reduction> reduction) {
  const ValueId id = value_of(value, name);
  graph_.add_result(std::move(name), id, std::move(reduction));
}

Graph Capture::finish() {
  for (const State& state : states_) {
    if (state.now != state.before) graph_.assign(state.before, state.now);
  }
  verify(graph_);
  return std::move(graph_);
}

const Capture::State* Capture::find(const Tensor& tensor) const {
  const auto found = state_of_.find(tensor.identity());
  return found == state_of_.end() ? nullptr : &states_[found->second];
}

ValueId Capture::value_of(const Tensor& tensor, std::string_view user) const {
  if (tensor.is_symbol() && tensor.symbol().capture == recorder_.id()) return tensor.symbol().value;
  if (tensor.is_symbol())
    not_capturable(tensor.made(), fmt::format("{} uses a value {} of another capture: what a step computes does not "
                                              "outlive it (a model that keeps it computes it anew in every step)",
                                              user, tensor.spec().to_string()));
  const State* const state = find(tensor);
  if (state == nullptr)
    not_capturable(
        tensor.made(),
        fmt::format(
            "{} uses a tensor {} {}, which is no input, no parameter and nothing made of them (constant() makes "
            "numbers part of a step); {}",
            user, tensor.spec().to_string(), tensor.made().line() > 0 ? "made here" : "that an operator made before",
            how_far(graph_)));
  return state->now;
}

Tensors Capture::append(const OpPtr& op, std::span<const Tensor> inputs) {
  std::vector<ValueId> ids;
  ids.reserve(inputs.size());
  for (const Tensor& input : inputs) ids.push_back(value_of(input, op->name()));
  const NodeId node = graph_.append(op, recorder_.phase(), std::move(ids), recorder_.block());
  Tensors outputs;
  for (const ValueId output : graph_.node(node).outputs) outputs.push_back(symbol(output));
  return outputs;
}

void Capture::append_update(const OpPtr& op, std::span<const Tensor> inputs, std::span<const Tensor> state) {
  const Tensors outputs = append(op, inputs);
  for (std::size_t i = 0; i < state.size(); ++i) {
    const auto declared = state_of_.find(state[i].identity());
    if (declared == state_of_.end())
      not_capturable(state[i].made(), fmt::format("{} writes a tensor {} that is no declared state", op->name(),
                                                  state[i].spec().to_string()));
    states_[declared->second].now = outputs[i].symbol().value;
  }
}

}  // namespace convoy
