#include "core/graph/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "core/base/error.h"
#include "core/base/quantity.h"

namespace convoy {
namespace {

constexpr std::int32_t kNever = -1;

// Which values share memory because some are views of others, and which node reads any of them last.
class AliasClasses {
 public:
  explicit AliasClasses(const Graph& graph) : parent_(graph.values().size()), last_(graph.values().size(), kNever) {
    std::iota(parent_.begin(), parent_.end(), ValueId{0});
    for (const Node& node : graph.nodes()) {
      if (node.op->traits().view) parent_[index(node.outputs[0])] = root(node.inputs[0]);
    }
    for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
      for (const ValueId input : graph.nodes()[i].inputs) last_[index(root(input))] = static_cast<NodeId>(i);
    }
    for (const Assignment& assignment : graph.assignments())
      last_[index(root(assignment.value))] = static_cast<NodeId>(graph.nodes().size());
  }

  bool dies_at(ValueId value, NodeId node) const { return last_[index(root(value))] == node; }

 private:
  static std::size_t index(ValueId value) { return static_cast<std::size_t>(value); }
  ValueId root(ValueId value) const {
    while (parent_[index(value)] != value) value = parent_[index(value)];
    return value;
  }
  std::vector<ValueId> parent_;
  std::vector<NodeId> last_;  // by root
};

bool same_layout(const Layout& a, const Layout& b) {
  return a.shape == b.shape && a.strides == b.strides && a.offset == b.offset;
}

class Scheduler {
 public:
  Scheduler(const Graph& graph, std::span<const Tensor> states, const PlanOptions& options)
      : graph_(graph), options_(options), classes_(graph), places_(graph.values().size()) {
    if (states.size() != graph.states().size())
      fail(ErrorCode::kInvalidArgument, "a graph of {} states was given {}", graph.states().size(), states.size());
    for (std::size_t i = 0; i < states.size(); ++i) {
      const Value& value = graph.value(graph.states()[i]);
      if (states[i].spec() != value.spec)
        fail(ErrorCode::kInvalidArgument, "state {} is {}, expected {}", value.name, states[i].spec().to_string(),
             value.spec.to_string());
      place(graph.states()[i]) = {.buffer = -1, .state = states[i], .layout = states[i].layout()};
    }
    for (const Assignment& assignment : graph.assignments()) assigned_[assignment.value].push_back(assignment.state);
    for (std::size_t i = 0; i < graph.results().size(); ++i) results_[graph.results()[i].value].push_back(i);
    for (std::size_t i = 0; i < std::min(options.results.size(), graph.results().size()); ++i) {
      const ValueId value = graph.results()[i].value;
      const Tensor& given = options.results[i];
      if (given.defined() && given.is_contiguous() && given.spec() == graph.value(value).spec) give_place(value, given);
    }
  }

  Schedule build() {
    for (const ValueId input : graph_.inputs()) {
      place(input) = new_place("input " + graph_.value(input).name, graph_.value(input).spec);
      touch(place(input), 0);
    }
    for (const auto& ids : {graph_.inputs(), graph_.states()}) {
      for (const ValueId id : ids) {
        if (results_.contains(id)) hand_out(id);
      }
    }
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      add_node(static_cast<NodeId>(i));
      for (const ValueId output : graph_.nodes()[i].outputs) {
        if (results_.contains(output)) hand_out(output);
      }
    }
    for (const Assignment& assignment : graph_.assignments()) {
      const Place& value = place(assignment.value);
      if (value.state.defined() && value.state.identity() == place(assignment.state).state.identity()) continue;
      add_copy(operand(assignment.value), operand(assignment.state));
      schedule_.steps.back().writes_state = true;
    }
    for (const ValueId input : graph_.inputs()) schedule_.inputs.push_back(operand(input));
    add_scratch();
    return std::move(schedule_);
  }

 private:
  Place& place(ValueId value) { return places_[static_cast<std::size_t>(value)]; }
  Operand operand(ValueId value) { return {place(value), graph_.value(value).spec}; }

  std::int32_t new_buffer(std::string label, std::size_t bytes) {
    schedule_.buffers.push_back({.bytes = bytes, .first = kNever, .last = kNever});
    schedule_.labels.push_back(std::move(label));
    return static_cast<std::int32_t>(schedule_.buffers.size() - 1);
  }

  Place new_place(const std::string& label, const Spec& spec) {
    const std::int32_t buffer = new_buffer(fmt::format("{}: {}", label, spec.to_string()), spec.bytes());
    return {.buffer = buffer, .state = {}, .layout = Layout::contiguous(spec.shape)};
  }

  // To the value, or to what it is a view of the whole of.
  void give_place(ValueId value, const Tensor& given) {
    while (graph_.value(value).origin == Value::Origin::kNode) {
      const Node& node = graph_.node(graph_.value(value).node);
      const Spec& spec = graph_.value(value).spec;
      if (!node.op->traits().view) {
        Layout layout = Layout::contiguous(spec.shape);
        layout.offset = given.layout().offset;
        result_places_.emplace(value, Place{.buffer = -1, .state = given.view(layout), .layout = layout});
        return;
      }
      value = node.inputs[0];
      const Shape& from = graph_.value(value).spec.shape;
      const std::optional<Layout> layout = node.op->view(Layout::contiguous(from));
      if (!layout || !layout->is_contiguous() || from.elements() != spec.shape.elements()) return;
    }
  }

  void touch(const Place& place, std::int32_t step) {
    if (place.buffer < 0) return;
    Buffer& buffer = schedule_.buffers[static_cast<std::size_t>(place.buffer)];
    if (buffer.first < 0) buffer.first = step;
    buffer.last = std::max(buffer.last, step);
  }

  void add_step(Step step) {
    const auto number = static_cast<std::int32_t>(schedule_.steps.size());
    for (const Operand& operand : step.inputs) touch(operand.place, number);
    for (const Operand& operand : step.outputs) touch(operand.place, number);
    schedule_.steps.push_back(std::move(step));
  }

  void add_copy(const Operand& from, const Operand& to) {
    add_step({.op = nullptr, .inputs = {from}, .outputs = {to}});
  }

  Operand copy_of(std::string_view what, const Operand& from) {
    const Operand to{new_place(fmt::format("copy for {}", what), from.spec), from.spec};
    add_copy(from, to);
    return to;
  }

  // The same elements without gaps, in a buffer of its own unless they lie so.
  Operand without_gaps(std::string_view reader, const Operand& from) {
    return from.place.layout.is_contiguous() ? from : copy_of(reader, from);
  }

  // Results are handed out behind the step that makes them, so that nothing need live longer.
  void hand_out(ValueId value) {
    Operand result = operand(value);
    if (schedule_.steps.empty() || graph_.value(value).origin != Value::Origin::kNode ||
        !result.place.layout.is_contiguous())
      result = copy_of("a result", result);
    touch(result.place, static_cast<std::int32_t>(schedule_.steps.size() - 1));
    for (const std::size_t index : results_[value]) schedule_.steps.back().results.emplace_back(index, result);
  }

  void add_node(NodeId id) {
    const Node& node = graph_.node(id);
    const Traits traits = node.op->traits();
    if (traits.view) return add_view(node);
    Step step{.op = node.op, .node = id};
    for (const ValueId input : node.inputs)
      step.inputs.push_back(traits.strided ? operand(input) : without_gaps(node.op->name(), operand(input)));
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId output = node.outputs[i];
      if (traits.update) {
        place(output) = updated(id, i, step);
        step.inputs[i] = operand(output);
        step.writes_state = step.writes_state || place(output).state.defined();
      } else if (const auto given = result_places_.find(output); given != result_places_.end()) {
        place(output) = given->second;
      } else {
        const std::optional<Place> reused = reusable(id, step);
        place(output) = reused ? *reused : new_place(std::string(node.op->name()), graph_.value(output).spec);
      }
      step.outputs.push_back(operand(output));
    }
    add_step(std::move(step));
  }

  void add_view(const Node& node) {
    Operand from = operand(node.inputs[0]);
    std::optional<Layout> layout = node.op->view(from.place.layout);
    if (!layout) {
      from = without_gaps(node.op->name(), from);
      layout = node.op->view(from.place.layout);
    }
    if (!layout) fail(ErrorCode::kInternal, "{}: no view of a contiguous {}", node.op->name(), from.spec.to_string());
    place(node.outputs[0]) = from.place;
    place(node.outputs[0]).layout = *layout;
  }

  // Where output i of an update is made: over its input where nobody needs that any more, otherwise over a copy.
  Place updated(NodeId id, std::size_t i, const Step& step) {
    const Node& node = graph_.node(id);
    const Operand& input = step.inputs[i];
    bool may = classes_.dies_at(node.inputs[i], id) && input.place.layout.is_contiguous();
    if (input.place.state.defined()) {
      const auto assigned = assigned_.find(node.outputs[i]);
      may = may && assigned != assigned_.end() &&
            std::find(assigned->second.begin(), assigned->second.end(), node.inputs[i]) != assigned->second.end();
    } else {
      may = may && graph_.value(node.inputs[i]).origin == Value::Origin::kNode;
    }
    return may ? input.place : copy_of(node.op->name(), input).place;
  }

  // The place of an operand that an elementwise operator may write its only output over.
  std::optional<Place> reusable(NodeId id, const Step& step) {
    const Node& node = graph_.node(id);
    const Traits traits = node.op->traits();
    if (!options_.in_place || node.outputs.size() != 1) return std::nullopt;
    const Spec& spec = graph_.value(node.outputs[0]).spec;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Operand& input = step.inputs[i];
      if (!traits.elementwise && (traits.overwrites >> i & 1) == 0) continue;
      if (input.place.buffer < 0 || input.spec != spec || !input.place.layout.is_contiguous()) continue;
      // A gapless copy of a strided operand is this step's alone.
      const bool own = input.place.buffer != place(node.inputs[i]).buffer;
      if (!own && !classes_.dies_at(node.inputs[i], id)) continue;
      bool alone = true;
      for (std::size_t k = 0; k < node.inputs.size(); ++k) {
        const Place& other = step.inputs[k].place;
        const bool at_once = k == i || (traits.elementwise && same_layout(other.layout, input.place.layout));
        alone = alone && (other.buffer != input.place.buffer || at_once);
      }
      if (alone) return input.place;
    }
    return std::nullopt;
  }

  // What kernels work in is alive during their step alone. How much that is shows when they are made ready, on memory
  // that is not there yet.
  void add_scratch() {
    std::byte* const nowhere = BlockScratch::nowhere();
    for (std::size_t i = 0; i < schedule_.steps.size(); ++i) {
      Step& step = schedule_.steps[i];
      if (step.op == nullptr) continue;
      Tensors inputs, outputs;
      for (const Operand& operand : step.inputs) inputs.push_back(tensor_at(operand, nowhere));
      for (const Operand& operand : step.outputs) outputs.push_back(tensor_at(operand, nowhere));
      BlockScratch scratch(nowhere);
      prepare(step.op, {inputs, outputs, graph_.device(), scratch});
      if (scratch.bytes() == 0) continue;
      step.scratch = new_buffer(fmt::format("{}: memory to work in", step.op->name()), scratch.bytes());
      touch({.buffer = step.scratch}, static_cast<std::int32_t>(i));
    }
  }

  const Graph& graph_;
  const PlanOptions& options_;
  const AliasClasses classes_;
  std::vector<Place> places_;  // by value
  std::map<ValueId, std::vector<ValueId>> assigned_;
  std::map<ValueId, std::vector<std::size_t>> results_;
  std::map<ValueId, Place> result_places_;  // that were given
  Schedule schedule_;
};

}  // namespace

Schedule make_schedule(const Graph& graph, std::span<const Tensor> states, const PlanOptions& options) {
  return Scheduler(graph, states, options).build();
}

Tensor tensor_at(const Operand& operand, std::byte* memory) {
  const Place& place = operand.place;
  if (place.state.defined())
    return same_layout(place.state.layout(), place.layout) ? place.state : place.state.view(place.layout);
  return Tensor::borrow(operand.spec, memory, nullptr).view(place.layout);
}

std::string largest_values(std::span<const Buffer> buffers, std::span<const std::string> labels, std::size_t lines) {
  std::int32_t steps = 1;
  for (const Buffer& buffer : buffers) steps = std::max(steps, buffer.last + 1);
  std::vector<std::size_t> best;
  std::size_t most = 0;
  for (std::int32_t step = 0; step < steps; ++step) {
    std::vector<std::size_t> alive;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      if (buffers[i].first > step || buffers[i].last < step) continue;
      alive.push_back(i);
      bytes += buffers[i].bytes;
    }
    if (bytes <= most) continue;
    most = bytes;
    best = std::move(alive);
  }
  std::stable_sort(best.begin(), best.end(),
                   [&](std::size_t a, std::size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  std::string text;
  for (std::size_t i = 0; i < std::min(lines, best.size()); ++i)
    text +=
        fmt::format("\n  {:>10}  {}", with_prefix(static_cast<double>(buffers[best[i]].bytes), "B"), labels[best[i]]);
  return text;
}

}  // namespace convoy
