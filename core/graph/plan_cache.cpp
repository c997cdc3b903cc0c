#include "core/graph/plan_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/available_memory.h"
#include "core/base/error.h"

namespace convoy {
namespace {

std::string list_of(std::span<const Spec> specs) {
  std::string text;
  for (const Spec& spec : specs) text += (text.empty() ? "" : ", ") + spec.to_string();
  return text;
}

}  // namespace

PlanCache::PlanCache(Device& device, Options options) : device_(device), options_(std::move(options)) {}

template <typename SameInputs>
PlannedFunction* PlanCache::find(const StepFunction& function, const SameInputs& same_inputs) {
  for (auto it = plans_.begin(); it != plans_.end(); ++it) {
    if (it->name != function.name || it->attributes != function.attributes || !same_inputs(it->inputs)) continue;
    plans_.splice(plans_.begin(), plans_, it);
    return &*it;
  }
  return nullptr;
}

PlannedFunction* PlanCache::find(const StepFunction& function, std::span<const Tensor> inputs) {
  return find(function, [&](const Specs& specs) {
    return std::equal(specs.begin(), specs.end(), inputs.begin(), inputs.end(),
                      [](const Spec& spec, const Tensor& input) { return spec == input.spec(); });
  });
}

void PlanCache::run(const StepFunction& function, const StepKey& key, std::span<const Tensor> inputs,
                    const StepFunction::OnResult& on_result) {
  PlannedFunction* planned = find(function, inputs);
  if (planned == nullptr) {
    Specs specs;
    for (const Tensor& input : inputs) specs.push_back(input.spec());
    planned = &plan(function, specs);
  }
  replay(*planned, false, key, inputs, on_result);
}

void PlanCache::run_placed(const StepFunction& function, const StepKey& key, std::span<const Tensor> inputs,
                           const StepFunction::OnResult& on_result) {
  PlannedFunction* const planned = find(function, inputs);
  if (planned == nullptr || planned->placed == nullptr)
    fail(ErrorCode::kInternal, "{}: no plan with results in places of their own", function.name);
  replay(*planned, true, key, inputs, on_result);
}

void PlanCache::replay(PlannedFunction& planned, bool is_placed, const StepKey& key, std::span<const Tensor> inputs,
                       const StepFunction::OnResult& on_result) {
  Plan& plan = is_placed ? *planned.placed : planned.plan;
  plan.run(
      key, inputs, [&](std::size_t result, const Tensor& value) { on_result(planned.captured.results[result], value); },
      timer_of_ ? timer_of_(planned, is_placed) : nullptr);
}

void PlanCache::place_results(const StepFunction& function, std::span<const Spec> inputs, const PlaceOf& place) {
  PlannedFunction& planned = plan(function, inputs);
  PlanOptions options = plan_options();
  for (const std::size_t result : planned.captured.results) options.results.push_back(place(result));
  planned.placed = std::make_unique<Plan>(planned.captured.graph, planned.captured.states, options);
}

PlanOptions PlanCache::plan_options() const {
  PlanOptions options = options_.plan;
  // Asking for more than there is would not fail, but have this process killed in the middle of a step.
  if (const auto available = available_memory())
    options.most_bytes = std::min(options.most_bytes, std::max(*available, options.arena ? options.arena->bytes() : 0));
  return options;
}

PlannedFunction& PlanCache::plan(const StepFunction& function, std::span<const Spec> inputs) {
  PlannedFunction* const planned = find(function, [&](const Specs& specs) {
    return std::equal(specs.begin(), specs.end(), inputs.begin(), inputs.end());
  });
  if (planned != nullptr) return *planned;
  CapturedFunction captured = capture(function, device_, inputs);
  if (options_.optimise) captured.graph = options_.optimise(function, std::move(captured.graph));
  note_capture(function, inputs);
  plans_.emplace_front(function, inputs, std::move(captured), plan_options());
  plans_.front().number = ++planned_;
  const std::shared_ptr<Storage>& arena = plans_.front().plan.arena();
  if (options_.plan.arena == nullptr || arena->bytes() > options_.plan.arena->bytes()) options_.plan.arena = arena;
  if (plans_.size() > options_.capacity) plans_.pop_back();
  return plans_.front();
}

void PlanCache::note_capture(const StepFunction& function, std::span<const Spec> inputs) {
  History& history = history_[function.name];
  if (++history.captures == kWarnAtRecapture + 1 && options_.warn) {
    std::string change;
    if (!std::equal(inputs.begin(), inputs.end(), history.inputs.begin(), history.inputs.end()))
      change = fmt::format("inputs {} → {}", list_of(history.inputs), list_of(inputs));
    if (function.attributes != history.attributes)
      change +=
          fmt::format("{}attributes {} → {}", change.empty() ? "" : ", ", history.attributes, function.attributes);
    if (change.empty()) change = fmt::format("more than {} plans are in use", options_.capacity);
    options_.warn(fmt::format("{}: captured for the {}th time, and each time costs as much as several steps: {}",
                              function.name, history.captures, change));
  }
  history.attributes = function.attributes;
  history.inputs.assign(inputs.begin(), inputs.end());
}

}  // namespace convoy
