#include "core/graph/plan.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "core/base/error.h"
#include "core/base/quantity.h"
#include "core/graph/device_kernels.h"
#include "core/graph/plan_launches.h"
#include "core/tensor/derived_forms.h"
#include "core/tensor/element_copy.h"

namespace convoy {
namespace {

// Of weights, that the kernels of the plan will make.
std::size_t bytes_of_forms(std::span<const Tensor> states) {
  std::set<const DerivedForms*> counted;
  std::size_t bytes = 0;
  for (const Tensor& state : states) {
    const DerivedForms* const forms = state.derived_forms();
    if (forms != nullptr && counted.insert(forms).second) bytes += forms->unmade_bytes();
  }
  return bytes;
}

void check_size(const Schedule& schedule, const MemoryPlan& memory, std::size_t forms, std::size_t most_bytes) {
  if (memory.bytes <= most_bytes && forms <= most_bytes - memory.bytes) return;
  const auto text = [](std::size_t bytes) { return with_prefix(static_cast<double>(bytes), "B"); };
  fail(ErrorCode::kUnavailable,
       "a step's values need {}{}, expected at most {}. When most of them are alive the largest are:{}",
       text(memory.bytes), forms == 0 ? "" : " and forms of weights " + text(forms), text(most_bytes),
       largest_values(schedule.buffers, schedule.labels));
}

}  // namespace

Plan::Plan(const Graph& graph, std::span<const Tensor> states, const PlanOptions& options) : device_(graph.device()) {
  const Schedule schedule = make_schedule(graph, states, options);
  buffers_ = schedule.buffers;
  labels_ = schedule.labels;
  memory_ = plan_memory(buffers_);
  check_size(schedule, memory_, bytes_of_forms(states), options.most_bytes);
  const std::size_t needed = std::max<std::size_t>(memory_.bytes, 1);
  const bool shared = options.arena != nullptr && options.arena->bytes() >= needed;
  arena_ = shared ? options.arena : std::make_shared<Storage>(device_, needed);
  for (const Operand& input : schedule.inputs) inputs_.push_back(tensor(input));
  for (const Step& step : schedule.steps) add_call(step);
  if (options.poison) poison_the_dead();
  if (Streams* const streams = streams_of(device_)) prepare_launches(schedule, *streams);
}

Tensor Plan::tensor(const Operand& operand) const {
  if (operand.place.buffer < 0) return tensor_at(operand, nullptr);
  const std::size_t offset = memory_.offsets[static_cast<std::size_t>(operand.place.buffer)];
  return tensor_at(operand, static_cast<std::byte*>(arena_->data()) + offset);
}

void Plan::add_call(const Step& step) {
  Call call;
  Tensors inputs, outputs;
  for (const Operand& operand : step.inputs) inputs.push_back(tensor(operand));
  for (const Operand& operand : step.outputs) outputs.push_back(tensor(operand));
  for (const auto& [index, operand] : step.results) call.results.emplace_back(index, tensor(operand));
  if (step.op == nullptr) {
    call.kernel = streams_of(device_) != nullptr
                      ? prepare_copy_on_device(inputs[0], outputs[0])
                      : prepared([copy = ElementCopy(inputs[0], outputs[0])] { copy.run(); });
  } else {
    const std::size_t offset = step.scratch < 0 ? 0 : memory_.offsets[static_cast<std::size_t>(step.scratch)];
    BlockScratch scratch(static_cast<std::byte*>(arena_->data()) + offset);
    call.kernel = prepare(step.op, {inputs, outputs, device_, scratch});
    const std::size_t room = step.scratch < 0 ? 0 : buffers_[static_cast<std::size_t>(step.scratch)].bytes;
    if (scratch.bytes() > room)
      fail(ErrorCode::kInternal, "{} took {} bytes to work in where it had asked for {}", step.op->name(),
           scratch.bytes(), room);
  }
  if (step.writes_state) {
    for (const Operand& operand : step.outputs) {
      if (operand.place.state.defined()) call.writes.push_back(operand.place.state);
    }
  }
  calls_.push_back(std::move(call));
  nodes_.push_back(step.node);
}

void Plan::poison_the_dead() {
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i].last < 0) continue;
    const Shape shape{static_cast<std::int64_t>(buffers_[i].bytes / 2)};
    const Place place{.buffer = static_cast<std::int32_t>(i), .state = {}, .layout = Layout::contiguous(shape)};
    calls_[static_cast<std::size_t>(buffers_[i].last)].dead.push_back(tensor({place, {DType::kBF16, shape, &device_}}));
  }
}

void Plan::run(const StepKey& key, std::span<const Tensor> inputs, const OnResult& on_result, CallTimer* timer) {
  if (inputs.size() != inputs_.size())
    fail(ErrorCode::kInvalidArgument, "a plan of {} inputs was given {}", inputs_.size(), inputs.size());
  if (launches_ != nullptr && timer != nullptr)
    fail(ErrorCode::kInvalidArgument, "the calls of a plan on a {} device are queued, and cannot be timed as they run",
         device_.kind());
  if (launches_ != nullptr) return launch_all(key, inputs, on_result);
  for (std::size_t i = 0; i < inputs.size(); ++i) copy_elements(inputs[i], inputs_[i]);
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    const Call& call = calls_[i];
    if (timer == nullptr) {
      call.kernel->run(key);
    } else {
      const CallTimer::Clock::time_point begin = CallTimer::Clock::now();
      call.kernel->run(key);
      timer->ran(i, begin, CallTimer::Clock::now());
    }
    device_.count_kernel();
    for (const Tensor& state : call.writes) state.written();
    if (!call.results.empty()) {
      const CallTimer::Clock::time_point begin =
          timer == nullptr ? CallTimer::Clock::time_point() : CallTimer::Clock::now();
      for (const auto& [index, value] : call.results) on_result(index, value);
      if (timer != nullptr) timer->gave(i, begin, CallTimer::Clock::now());
    }
    for (const Tensor& memory : call.dead) std::memset(memory.raw(), 0xFF, memory.spec().bytes());
  }
}

}  // namespace convoy
