#include "core/graph/passes/fused_reduction.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/device/parallel.h"

namespace convoy {
namespace {

constexpr std::int64_t kThreadGrain = 16384;  // elements worth a thread

std::shared_ptr<const TileReduction> tiles_of(const Op& reduction, const Spec& input) {
  const auto* reducible = dynamic_cast<const TileReducible*>(&reduction);
  auto tiles = reducible == nullptr ? nullptr : reducible->tile_reduction(input);
  if (tiles == nullptr)
    fail(ErrorCode::kInternal, "fused_reduction: {} cannot be fed {}", describe(reduction), input.to_string());
  return tiles;
}

}  // namespace

FusedReduction::FusedReduction(FusedProgram program, OpPtr reduction)
    : program_(std::make_shared<const FusedProgram>(std::move(program))), reduction_(std::move(reduction)) {}

Traits FusedReduction::traits() const {
  return {.random = program_->is_random(), .strided = true, .differentiable = false};
}

void FusedReduction::attributes(AttributeVisitor& visitor) const {
  visitor.visit("steps", std::string_view(program_->text()));
  visitor.visit("reduction", std::string_view(describe(*reduction_)));
}

Cost FusedReduction::cost(std::span<const Spec> inputs, std::span<const Spec> outputs) const {
  const double sums = reduction_->cost(program_->infer(inputs), outputs).flops;
  return {.flops = program_->flops() + sums, .bytes = bytes_of(inputs, outputs)};
}

PreparedPtr FusedReduction::prepare(const PrepareArgs& args) const {
  Specs inputs;
  for (const Tensor& input : args.inputs) inputs.push_back(input.spec());
  const Spec between = program_->infer(inputs).front();
  std::shared_ptr<const TileReduction> tiles = tiles_of(*reduction_, between);
  double* const partials = args.scratch.take<double>(tiles->partials());
  return prepared([program = program_, operands = FusedProgram::Operands(*program_, args.inputs), tiles, partials,
                   output = args.outputs[0].raw(), dtype = between.dtype, elements = between.elements(),
                   threads = static_cast<CpuDevice&>(args.device).threads()](const StepKey& key) {
    const std::int64_t pieces = tiles->pieces();
    const std::int64_t size = std::max<std::int64_t>(1, elements / std::max<std::int64_t>(1, pieces));
    parallel_for(threads, pieces, std::max<std::int64_t>(1, kThreadGrain / size),
                 [&](std::int64_t begin, std::int64_t end) {
                   FusedTiles source(*program, operands, dtype, key);
                   for (std::int64_t piece = begin; piece < end; ++piece)
                     tiles->run_piece(piece, source, partials, output);
                 });
    tiles->finish(partials, output);
  });
}

}  // namespace convoy
