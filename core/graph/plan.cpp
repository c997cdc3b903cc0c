#include "core/graph/plan.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "core/base/error.h"

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
  bool same(ValueId a, ValueId b) const { return root(a) == root(b); }

 private:
  static std::size_t index(ValueId value) { return static_cast<std::size_t>(value); }
  ValueId root(ValueId value) const {
    while (parent_[index(value)] != value) value = parent_[index(value)];
    return value;
  }
  std::vector<ValueId> parent_;
  std::vector<NodeId> last_;  // by root
};

}  // namespace

class PlanBuilder {
 public:
  PlanBuilder(const Graph& graph, std::span<const Tensor> states, const PlanOptions& options)
      : graph_(graph), options_(options), classes_(graph), places_(graph.values().size()) {
    if (states.size() != graph.states().size())
      fail(ErrorCode::kInvalidArgument, "a graph of {} states was given {}", graph.states().size(), states.size());
    for (std::size_t i = 0; i < states.size(); ++i) {
      const Value& value = graph.value(graph.states()[i]);
      if (states[i].spec() != value.spec)
        fail(ErrorCode::kInvalidArgument, "state {} is {}, expected {}", value.name, states[i].spec().to_string(),
             value.spec.to_string());
      place(graph.states()[i]) = {.state = states[i], .layout = states[i].layout()};
    }
    for (const Assignment& assignment : graph.assignments()) assigned_[assignment.value].push_back(assignment.state);
    for (std::size_t i = 0; i < graph.results().size(); ++i) results_[graph.results()[i].value].push_back(i);
  }

  void build(Plan& plan) {
    for (const ValueId input : graph_.inputs()) {
      place(input) = new_place(graph_.value(input).spec);
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
      steps_.back().writes_state = true;
    }
    resolve(plan);
  }

 private:
  // In a buffer of the arena, or in a state.
  struct Place {
    std::int32_t buffer = -1;
    Tensor state{};
    Layout layout;  // from the buffer's start, or as the state's own
  };
  struct Operand {
    Place place;
    Spec spec;
  };
  struct Step {
    OpPtr op;
    std::vector<Operand> inputs, outputs;
    bool writes_state = false;
    std::vector<std::pair<std::size_t, Operand>> results{};
  };

  Place& place(ValueId value) { return places_[static_cast<std::size_t>(value)]; }
  Operand operand(ValueId value) { return {place(value), graph_.value(value).spec}; }

  Place new_place(const Spec& spec) {
    buffers_.push_back({.bytes = spec.bytes(), .first = -1, .last = -1});
    return {.buffer = static_cast<std::int32_t>(buffers_.size() - 1), .layout = Layout::contiguous(spec.shape)};
  }

  void touch(const Place& place, std::int32_t step) {
    if (place.buffer < 0) return;
    Buffer& buffer = buffers_[static_cast<std::size_t>(place.buffer)];
    if (buffer.first < 0) buffer.first = step;
    buffer.last = std::max(buffer.last, step);
  }

  void add_step(Step step) {
    const auto number = static_cast<std::int32_t>(steps_.size());
    for (const Operand& operand : step.inputs) touch(operand.place, number);
    for (const Operand& operand : step.outputs) touch(operand.place, number);
    steps_.push_back(std::move(step));
  }

  void add_copy(const Operand& from, const Operand& to) {
    add_step({.op = nullptr, .inputs = {from}, .outputs = {to}});
  }

  // The same elements without gaps, in a buffer of its own unless they lie so.
  Operand without_gaps(const Operand& from) {
    if (from.place.layout.is_contiguous()) return from;
    const Operand to{new_place(from.spec), from.spec};
    add_copy(from, to);
    return to;
  }

  // Results are handed out behind the step that makes them, so that nothing need live longer.
  void hand_out(ValueId value) {
    Operand result = operand(value);
    if (steps_.empty() || graph_.value(value).origin != Value::Origin::kNode || !result.place.layout.is_contiguous()) {
      const Operand copy{new_place(result.spec), result.spec};
      add_copy(result, copy);
      result = copy;
    }
    touch(result.place, static_cast<std::int32_t>(steps_.size() - 1));
    for (const std::size_t index : results_[value]) steps_.back().results.emplace_back(index, result);
  }

  void add_node(NodeId id) {
    const Node& node = graph_.node(id);
    const Traits traits = node.op->traits();
    if (traits.view) return add_view(node);
    Step step{.op = node.op, .inputs = {}, .outputs = {}};
    for (const ValueId input : node.inputs)
      step.inputs.push_back(traits.strided ? operand(input) : without_gaps(operand(input)));
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId output = node.outputs[i];
      if (traits.update) {
        place(output) = updated(id, i, step);
        step.inputs[i] = operand(output);
      } else {
        const std::optional<Place> reused = traits.elementwise ? reusable(id, step) : std::nullopt;
        place(output) = reused ? *reused : new_place(graph_.value(output).spec);
      }
      step.writes_state = step.writes_state || place(output).state.defined();
      step.outputs.push_back(operand(output));
    }
    add_step(std::move(step));
  }

  void add_view(const Node& node) {
    Operand from = operand(node.inputs[0]);
    std::optional<Layout> layout = node.op->view(from.place.layout);
    if (!layout) {
      from = without_gaps(from);
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
    if (may) return input.place;
    const Operand copy{new_place(input.spec), input.spec};
    add_copy(input, copy);
    return copy.place;
  }

  // The place of an operand that an elementwise operator may write its only output over.
  std::optional<Place> reusable(NodeId id, const Step& step) {
    const Node& node = graph_.node(id);
    if (!options_.in_place || node.outputs.size() != 1) return std::nullopt;
    const Spec& spec = graph_.value(node.outputs[0]).spec;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Operand& input = step.inputs[i];
      if (input.place.buffer < 0 || input.spec != spec || !input.place.layout.is_contiguous()) continue;
      // A gapless copy of a strided operand is this step's alone.
      const bool own = input.place.buffer != place(node.inputs[i]).buffer;
      if (!own && !classes_.dies_at(node.inputs[i], id)) continue;
      bool alone = true;
      for (std::size_t k = 0; k < node.inputs.size(); ++k) {
        const Place& other = step.inputs[k].place;
        alone = alone && (other.buffer != input.place.buffer || same_layout(other.layout, input.place.layout));
      }
      if (alone) return input.place;
    }
    return std::nullopt;
  }

  static bool same_layout(const Layout& a, const Layout& b) {
    return a.shape == b.shape && a.strides == b.strides && a.offset == b.offset;
  }

  Tensor tensor(const Plan& plan, const Operand& operand) const {
    if (operand.place.state.defined()) {
      const Tensor& state = operand.place.state;
      return same_layout(state.layout(), operand.place.layout) ? state : state.view(operand.place.layout);
    }
    const auto buffer = static_cast<std::size_t>(operand.place.buffer);
    const auto elements = static_cast<std::int64_t>(buffers_[buffer].bytes / size_of(operand.spec.dtype));
    const Spec whole{operand.spec.dtype, {elements}, operand.spec.device};
    void* const memory = static_cast<std::byte*>(plan.arena_->data()) + plan.memory_.offsets[buffer];
    return Tensor::borrow(whole, memory, plan.arena_).view(operand.place.layout);
  }

  void resolve(Plan& plan) {
    plan.buffers_ = buffers_;
    plan.memory_ = plan_memory(buffers_);
    const std::size_t needed = std::max<std::size_t>(plan.memory_.bytes, 1);
    const bool shared = options_.arena != nullptr && options_.arena->bytes() >= needed;
    plan.arena_ = shared ? options_.arena : std::make_shared<Storage>(plan.device_, needed);
    for (const ValueId input : graph_.inputs()) plan.inputs_.push_back(tensor(plan, operand(input)));
    for (const Step& step : steps_) {
      Plan::Call call{.op = step.op, .inputs = {}, .outputs = {}, .writes_state = step.writes_state, .results = {}};
      for (const Operand& operand : step.inputs) call.inputs.push_back(tensor(plan, operand));
      for (const Operand& operand : step.outputs) call.outputs.push_back(tensor(plan, operand));
      for (const auto& [index, operand] : step.results) call.results.emplace_back(index, tensor(plan, operand));
      plan.calls_.push_back(std::move(call));
    }
    if (!options_.poison) return;
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      if (buffers_[i].last < 0) continue;
      const Operand bytes{{.buffer = static_cast<std::int32_t>(i),
                           .layout = Layout::contiguous({static_cast<std::int64_t>(buffers_[i].bytes / 2)})},
                          {DType::kBF16, {static_cast<std::int64_t>(buffers_[i].bytes / 2)}, &plan.device_}};
      plan.calls_[static_cast<std::size_t>(buffers_[i].last)].dead.push_back(tensor(plan, bytes));
    }
  }

  const Graph& graph_;
  const PlanOptions& options_;
  const AliasClasses classes_;
  std::vector<Place> places_;  // by value
  std::map<ValueId, std::vector<ValueId>> assigned_;
  std::map<ValueId, std::vector<std::size_t>> results_;
  std::vector<Buffer> buffers_;
  std::vector<Step> steps_;
};

Plan::Plan(const Graph& graph, std::span<const Tensor> states, const PlanOptions& options) : device_(graph.device()) {
  PlanBuilder(graph, states, options).build(*this);
}

void Plan::run(const StepKey& key, std::span<const Tensor> inputs, const OnResult& on_result) {
  if (inputs.size() != inputs_.size())
    fail(ErrorCode::kInvalidArgument, "a plan of {} inputs was given {}", inputs_.size(), inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) copy_elements(inputs[i], inputs_[i]);
  for (const Call& call : calls_) {
    if (call.op == nullptr) {
      copy_elements(call.inputs[0], call.outputs[0]);
    } else {
      KernelArgs args{call.inputs, call.outputs, key, device_};
      call.op->run_cpu(args);
      device_.count_kernel();
    }
    if (call.writes_state) {
      for (const Tensor& output : call.outputs) output.written();
    }
    for (const auto& [index, value] : call.results) on_result(index, value);
    for (const Tensor& memory : call.dead) std::memset(memory.raw(), 0xFF, memory.spec().bytes());
  }
}

}  // namespace convoy
