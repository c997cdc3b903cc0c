// Plans of a step's functions: each function is captured and planned once for the specs of its inputs and its
// attributes, and replayed from then on.
//
// The plans of a cache share memory for their values, as one of them runs at a time. Only for the thread that runs the
// device's kernels.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "core/graph/plan.h"
#include "core/graph/step_function.h"

namespace convoy {

struct PlannedFunction {
  PlannedFunction(const StepFunction& function, std::span<const Spec> specs, CapturedFunction what,
                  const PlanOptions& options)
      : name(function.name),
        attributes(function.attributes),
        inputs(specs.begin(), specs.end()),
        captured(std::move(what)),
        plan(captured.graph, captured.states, options) {}

  std::int64_t number = 0;  // that no other has in its cache's life, whereas memory is used again
  std::string name;
  std::string attributes;
  Specs inputs;
  CapturedFunction captured;
  Plan plan;
  // The same with results in places of the caller's (PlanCache::place_results), if there is one.
  std::unique_ptr<Plan> placed{};

  const Plan& plan_of(bool is_placed) const { return is_placed ? *placed : plan; }
};

class PlanCache {
 public:
  struct Options {
    PlanOptions plan{};
    // What is planned instead of the graph that was captured of a function; the same graph if empty.
    std::function<Graph(const StepFunction& function, Graph graph)> optimise{};
    std::size_t capacity = 16;  // plans; the one that was not used for longest goes first
    // Called with one line at the fifth recapture of a function, once: capturing anew costs more than it gains.
    std::function<void(const std::string&)> warn{};
  };
  PlanCache(Device& device, Options options);
  PlanCache(const PlanCache&) = delete;
  PlanCache& operator=(const PlanCache&) = delete;

  // Replays the function.
  void run(const StepFunction& function, const StepKey& key, std::span<const Tensor> inputs,
           const StepFunction::OnResult& on_result);
  // Makes a second plan of the function for such inputs, with its results where place(number) says, for good; undefined
  // leaves one where it was. It shares graph and memory of the first one.
  using PlaceOf = std::function<Tensor(std::size_t result)>;
  void place_results(const StepFunction& function, std::span<const Spec> inputs, const PlaceOf& place);
  // Replays that one, which must be there.
  void run_placed(const StepFunction& function, const StepKey& key, std::span<const Tensor> inputs,
                  const StepFunction::OnResult& on_result);
  // Its plan for such inputs, captured now if there is none. Valid until the next call.
  PlannedFunction& plan(const StepFunction& function, std::span<const Spec> inputs);

  // From now on each replay of a plan tells what it gives for it, if any; empty: none does.
  using TimerOf = std::function<CallTimer*(const PlannedFunction& planned, bool is_placed)>;
  void set_timers(TimerOf timer_of) { timer_of_ = std::move(timer_of); }

  // The last one used comes first.
  const std::list<PlannedFunction>& plans() const { return plans_; }

 private:
  static constexpr std::int64_t kWarnAtRecapture = 5;

  void replay(PlannedFunction& planned, bool is_placed, const StepKey& key, std::span<const Tensor> inputs,
              const StepFunction::OnResult& on_result);
  PlanOptions plan_options() const;
  PlannedFunction* find(const StepFunction& function, std::span<const Tensor> inputs);
  template <typename SameInputs>
  PlannedFunction* find(const StepFunction& function, const SameInputs& same_inputs);
  void note_capture(const StepFunction& function, std::span<const Spec> inputs);

  struct History {
    std::int64_t captures = 0;
    std::string attributes;  // of the last
    Specs inputs;
  };
  Device& device_;
  Options options_;  // with the largest arena so far
  std::list<PlannedFunction> plans_;
  std::map<std::string, History> history_;  // by function
  std::int64_t planned_ = 0;                // so far
  TimerOf timer_of_;
};

}  // namespace convoy
