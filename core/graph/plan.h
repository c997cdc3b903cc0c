// A graph made ready: every value has its place in one block of memory, every operator is a prepared call on tensors
// that exist already. A replay runs the calls in turn; it allocates, looks up and infers nothing.
//
// A plan has the bits of its graph's interpretation: the same kernels in an order that the graph allows.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/device/streams.h"
#include "core/graph/call_timer.h"
#include "core/graph/graph.h"
#include "core/graph/memory_plan.h"
#include "core/graph/prepared_call.h"
#include "core/graph/schedule.h"

namespace convoy {

class Plan {
 public:
  // states: the tensors that graph.states() stand for, for good. Throws Error(kUnavailable) for a plan that needs more
  // memory than the options allow, with the forms of weights that kernels will make (core/tensor/derived_forms.h),
  // before any is touched: the message shows its largest values.
  Plan(const Graph& graph, std::span<const Tensor> states, const PlanOptions& options = {});
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan();

  // Called with a result's index and its value, valid during the call alone, as soon as it is there.
  using OnResult = std::function<void(std::size_t result, const Tensor& value)>;
  // inputs: for graph.inputs(), of their specs; copied. Only from the thread that runs the device's kernels. `timer`,
  // if any, hears of every call.
  //
  // On a device with streams (core/device/streams.h) a run launches its calls on the compute stream and returns, and
  // on_result comes behind the launch that makes a value: whoever reads it on another stream lets that one wait for an
  // event of the compute stream, and says by hold() when it has been read. There is no timer then.
  void run(const StepKey& key, std::span<const Tensor> inputs, const OnResult& on_result, CallTimer* timer = nullptr);
  // Until the event is over nothing is written over the result, in this run or the next one.
  void hold(std::size_t result, Event until);

  const MemoryPlan& memory() const { return memory_; }
  std::span<const Buffer> buffers() const { return buffers_; }
  // What lies in them: "linear: f32[8, 2]".
  std::span<const std::string> labels() const { return labels_; }
  const std::shared_ptr<Storage>& arena() const { return arena_; }
  // By call: the graph's node that it runs, or -1 for a copy.
  std::span<const NodeId> calls() const { return nodes_; }

 private:
  struct Call {
    PreparedPtr kernel;
    Tensors writes;                                       // of state
    std::vector<std::pair<std::size_t, Tensor>> results;  // that are there behind it
    Tensors dead{};                                       // memory to poison behind it
  };

  // plan_launches.h: on a device with streams.
  struct Launches;
  void prepare_launches(const Schedule& schedule, Streams& streams);
  void find_overwritten_results();
  void launch_all(const StepKey& key, std::span<const Tensor> inputs, const OnResult& on_result);

  Tensor tensor(const Operand& operand) const;
  void add_call(const Step& step);
  void poison_the_dead();

  Device& device_;
  std::vector<Buffer> buffers_;
  std::vector<std::string> labels_;
  MemoryPlan memory_;
  std::shared_ptr<Storage> arena_;
  Tensors inputs_;
  std::vector<Call> calls_;
  std::vector<NodeId> nodes_;
  std::unique_ptr<Launches> launches_;  // null where calls run at once
};

}  // namespace convoy
