#include "core/graph/passes/fused_elementwise.h"

#include <algorithm>
#include <array>

#include "core/device/cpu_device.h"
#include "core/device/parallel.h"

namespace convoy {
namespace {

constexpr std::int64_t kThreadGrain = 16384;  // elements worth a thread

}  // namespace

Traits FusedElementwise::traits() const {
  return {.elementwise = true, .random = program_->is_random(), .strided = true, .differentiable = false};
}

void FusedElementwise::attributes(AttributeVisitor& visitor) const {
  visitor.visit("steps", std::string_view(program_->text()));
}

Cost FusedElementwise::cost(std::span<const Spec> inputs, std::span<const Spec> outputs) const {
  return {.flops = program_->flops(), .bytes = bytes_of(inputs, outputs)};
}

PreparedPtr FusedElementwise::prepare(const PrepareArgs& args) const {
  std::array<std::byte*, FusedProgram::kMaxSteps> outputs{};
  const std::size_t count = args.outputs.size();
  for (std::size_t k = 0; k < count; ++k) outputs[k] = static_cast<std::byte*>(args.outputs[k].raw());
  return prepared([program = program_, operands = FusedProgram::Operands(*program_, args.inputs), outputs, count,
                   elements = program_->shape().elements(),
                   threads = static_cast<CpuDevice&>(args.device).threads()](const StepKey& key) {
    const std::int64_t tile = operands.tile();
    parallel_for(threads, (elements + tile - 1) / tile, std::max<std::int64_t>(1, kThreadGrain / tile),
                 [&](std::int64_t begin, std::int64_t end) {
                   alignas(Device::kAlignment) std::byte scratch[FusedProgram::kScratchBytes];
                   for (std::int64_t i = begin; i < end; ++i)
                     program->run_tile(operands, key, std::span(outputs).first(count), 0, i * tile,
                                       std::min(tile, elements - i * tile), scratch);
                 });
  });
}

}  // namespace convoy
