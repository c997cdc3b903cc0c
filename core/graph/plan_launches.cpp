#include "core/graph/plan_launches.h"

#include <cstring>
#include <utility>

#include "core/base/error.h"

namespace convoy {
namespace {

std::vector<MemoryRange> ranges_of(std::span<const Tensor> tensors) {
  std::vector<MemoryRange> ranges;
  for (const Tensor& tensor : tensors) ranges.push_back(range_of(tensor));
  return ranges;
}

}  // namespace

MemoryRange range_of(const Tensor& tensor) {
  const Layout& layout = tensor.layout();
  if (tensor.elements() == 0) return {tensor.raw(), 0};
  std::int64_t last = 0;
  for (int i = 0; i < layout.shape.rank(); ++i) last += (layout.shape[i] - 1) * layout.strides[i];
  return {tensor.raw(), static_cast<std::size_t>(last + 1) * size_of(tensor.dtype())};
}

Plan::~Plan() {
  if (launches_ == nullptr) return;
  try {
    device_.synchronize();  // launches refer to our calls
  } catch (const std::exception&) {
    // Whoever wants to hear of it synchronises before.
  }
}

void Plan::prepare_launches(const Schedule& schedule, Streams& streams) {
  launches_ = std::make_unique<Launches>(Launches{streams, {}, {}, {}, {}});
  for (const Tensor& input : inputs_)
    launches_->inputs.push_back({.name = "input", .reads = {}, .writes = {range_of(input)}, .over = {}});
  for (std::size_t i = 0; i < schedule.steps.size(); ++i) {
    const Step& step = schedule.steps[i];
    Launches::Info info{
        .name = step.op == nullptr ? "copy" : std::string(step.op->name()), .reads = {}, .writes = {}, .over = {}};
    for (const Operand& operand : step.inputs) info.reads.push_back(range_of(tensor(operand)));
    for (const Operand& operand : step.outputs) info.writes.push_back(range_of(tensor(operand)));
    if (step.scratch >= 0) {
      const auto buffer = static_cast<std::size_t>(step.scratch);
      info.writes.push_back(
          {static_cast<std::byte*>(arena_->data()) + memory_.offsets[buffer], buffers_[buffer].bytes});
    }
    launches_->calls.push_back(std::move(info));
    launches_->poisons.push_back({.name = "poison", .reads = {}, .writes = ranges_of(calls_[i].dead), .over = {}});
  }
  find_overwritten_results();
}

void Plan::find_overwritten_results() {
  std::vector<MemoryRange> results;
  for (const Call& call : calls_) {
    for (const auto& [index, value] : call.results) {
      if (results.size() <= index) results.resize(index + 1);
      results[index] = range_of(value);
    }
  }
  launches_->held.resize(results.size());
  for (auto* const group : {&launches_->inputs, &launches_->calls, &launches_->poisons}) {
    for (Launches::Info& info : *group) {
      for (std::size_t result = 0; result < results.size(); ++result) {
        for (const MemoryRange& written : info.writes) {
          if (!overlap(written, results[result])) continue;
          info.over.push_back(result);
          break;
        }
      }
    }
  }
}

void Plan::hold(std::size_t result, Event until) {
  if (launches_ == nullptr || result >= launches_->held.size())
    fail(ErrorCode::kInvalidArgument,
         "a plan's result {} cannot be held: expected one of a plan on a device with streams", result);
  launches_->held[result] = until;
}

void Plan::Launches::wait_for_readers(const Info& info) {
  for (const std::size_t result : info.over) streams.wait(Stream::kCompute, std::exchange(held[result], {}));
}

void Plan::Launches::launch(const Info& info, std::function<void()> run) {
  wait_for_readers(info);
  streams.launch(Stream::kCompute, {info.name, info.reads, info.writes, std::move(run)});
}

void Plan::launch_all(const StepKey& key, std::span<const Tensor> inputs, const OnResult& on_result) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].spec() != inputs_[i].spec() || !inputs[i].is_contiguous())
      fail(ErrorCode::kInvalidArgument, "input {} of a plan is {}, expected a contiguous {} on the plan's device", i,
           inputs[i].spec().to_string(), inputs_[i].spec().to_string());
    launches_->wait_for_readers(launches_->inputs[i]);
    device_.copy(inputs_[i].raw(), inputs[i].raw(), inputs[i].spec().bytes());
  }
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    const Call& call = calls_[i];
    launches_->launch(launches_->calls[i], [&call, key] {
      call.kernel->run(key);
      for (const Tensor& state : call.writes) state.written();
    });
    device_.count_kernel();
    for (const auto& [index, value] : call.results) on_result(index, value);
    if (call.dead.empty()) continue;
    // For tests, on memory that the host can write.
    launches_->launch(launches_->poisons[i], [&call] {
      for (const Tensor& memory : call.dead) std::memset(memory.raw(), 0xFF, memory.spec().bytes());
    });
  }
  // Another plan knows nothing of our readers.
  if (arena_.use_count() == 1) return;
  for (Event& held : launches_->held) launches_->streams.wait(Stream::kCompute, std::exchange(held, {}));
}

}  // namespace convoy
