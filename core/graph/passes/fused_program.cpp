#include "core/graph/passes/fused_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/base/error.h"

namespace convoy {
namespace {

constexpr std::int64_t kMostTile = 2048;  // elements

}  // namespace

FusedProgram::Operands::Source::Source(const Tensor& tensor, const Shape& whole)
    : data(static_cast<const std::byte*>(tensor.raw())), dtype(tensor.dtype()) {
  const Layout& layout = tensor.layout();
  for (int i = 0; i < whole.rank(); ++i) {
    const int own = i - (whole.rank() - layout.shape.rank());
    const std::int64_t stride = own < 0 || layout.shape[own] == 1 ? 0 : layout.strides[own];
    if (whole[i] == 1) continue;
    if (shape.rank() > 0 && strides[-1] == stride * whole[i]) {
      shape[-1] *= whole[i];
      strides[-1] = stride;
    } else {
      shape.append(whole[i]);
      strides.append(stride);
    }
  }
  if (shape.rank() == 0) {
    shape.append(1);
    strides.append(0);
  }
}

const std::byte* FusedProgram::Operands::Source::row(std::int64_t index) const {
  std::int64_t offset = 0;
  for (int i = shape.rank() - 2; i >= 0; --i) {
    offset += index % shape[i] * strides[i];
    index /= shape[i];
  }
  return data + offset * static_cast<std::int64_t>(size_of(dtype));
}

template <typename Bits>
void FusedProgram::Operands::Source::gather(std::int64_t first, std::int64_t count, std::byte* scratch) const {
  const std::int64_t width = shape[-1], step = strides[-1];
  auto* to = reinterpret_cast<Bits*>(scratch);
  for (std::int64_t index = first / width, column = first % width; count > 0; ++index, column = 0) {
    const auto* from = reinterpret_cast<const Bits*>(row(index)) + column * step;
    const std::int64_t piece = std::min(count, width - column);
    if (step == 1) {
      std::copy_n(from, piece, to);
    } else if (step == 0) {
      std::fill_n(to, piece, *from);
    } else {
      for (std::int64_t i = 0; i < piece; ++i) to[i] = from[i * step];
    }
    to += piece;
    count -= piece;
  }
}

TileOperand FusedProgram::Operands::Source::tile(std::int64_t first, std::int64_t count, std::byte* scratch) const {
  const std::int64_t width = shape[-1], step = strides[-1], column = first % width;
  if (column + count <= width && (step == 0 || step == 1))
    return {row(first / width) + column * step * static_cast<std::int64_t>(size_of(dtype)), step, dtype};
  switch (size_of(dtype)) {
    case 2:
      gather<std::uint16_t>(first, count, scratch);
      break;
    case 4:
      gather<std::uint32_t>(first, count, scratch);
      break;
    default:
      gather<std::uint64_t>(first, count, scratch);
  }
  return {scratch, 1, dtype};
}

FusedProgram::Operands::Operands(const FusedProgram& program, std::span<const Tensor> inputs) {
  std::int32_t slots = program.slots_;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    sources_[i] = Source(inputs[i], program.results_[0].shape);
    if (!sources_[i].in_one_piece()) sources_[i].slot = slots++;
  }
  const auto room =
      static_cast<std::int64_t>(kScratchBytes / (static_cast<std::size_t>(std::max(slots, 1)) * program.widest_));
  tile_ = std::min(kMostTile, room / kTileUnit * kTileUnit);
  slot_bytes_ = static_cast<std::size_t>(tile_) * program.widest_;
}

FusedProgram::FusedProgram(Specs inputs, std::vector<FusedStep> steps, std::vector<std::int32_t> outputs)
    : inputs_(std::move(inputs)),
      steps_(std::move(steps)),
      outputs_(std::move(outputs)),
      output_of_(steps_.size(), -1) {
  if (inputs_.size() > kMaxInputs || steps_.empty() || steps_.size() > kMaxSteps || outputs_.empty())
    fail(ErrorCode::kInternal, "a fused program of {} inputs, {} steps, {} outputs; expected at most {} and {}",
         inputs_.size(), steps_.size(), outputs_.size(), kMaxInputs, kMaxSteps);
  for (std::size_t k = 0; k < outputs_.size(); ++k)
    output_of_[static_cast<std::size_t>(outputs_[k])] = static_cast<std::int32_t>(k);
  const std::size_t count = inputs_.size();
  std::vector<std::size_t> last(steps_.size(), 0);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    Specs operands;
    for (const std::int32_t operand : steps_[i].operands) {
      const auto index = static_cast<std::size_t>(operand);
      if (index >= count + i) fail(ErrorCode::kInternal, "a fused program's step {} reads what is not there", i);
      if (index >= count) last[index - count] = i;
      operands.push_back(index < count ? inputs_[index] : results_[index - count]);
    }
    if (!steps_[i].op->traits().tiled)
      fail(ErrorCode::kInternal, "a fused program cannot hold {}", steps_[i].op->name());
    results_.push_back(steps_[i].op->infer(operands).front());
    if (results_[i].shape != results_[0].shape)
      fail(ErrorCode::kInternal, "a fused program with steps of {} and {}", results_[0].to_string(),
           results_[i].to_string());
  }
  for (const Spec& spec : inputs_) widest_ = std::max(widest_, size_of(spec.dtype));
  for (const Spec& spec : results_) widest_ = std::max(widest_, size_of(spec.dtype));
  std::vector<bool> taken;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    slot_.push_back(-1);
    if (output_of_[i] < 0) {
      const auto free = std::find(taken.begin(), taken.end(), false);
      slot_[i] = static_cast<std::int32_t>(free - taken.begin());
      if (free == taken.end()) taken.push_back(true);
      taken[static_cast<std::size_t>(slot_[i])] = true;
    }
    for (std::size_t k = 0; k <= i; ++k) {
      if (last[k] == i && slot_[k] >= 0) taken[static_cast<std::size_t>(slot_[k])] = false;
    }
  }
  slots_ = static_cast<std::int32_t>(taken.size());
}

Specs FusedProgram::infer(std::span<const Spec> in) const {
  bool sound = in.size() == inputs_.size();
  for (std::size_t i = 0; sound && i < in.size(); ++i)
    sound = in[i].dtype == inputs_[i].dtype && in[i].shape == inputs_[i].shape;
  if (!sound) fail(ErrorCode::kInvalidArgument, "a fused program got other inputs than those that it was made for");
  Specs outputs;
  for (const std::int32_t step : outputs_) outputs.push_back(results_[static_cast<std::size_t>(step)]);
  return outputs;
}

bool FusedProgram::is_random() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const FusedStep& step) { return step.op->traits().random; });
}

double FusedProgram::flops() const {
  double flops = 0.0;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    Specs operands;
    for (const std::int32_t operand : steps_[i].operands) {
      const auto index = static_cast<std::size_t>(operand);
      operands.push_back(index < inputs_.size() ? inputs_[index] : results_[index - inputs_.size()]);
    }
    flops += steps_[i].op->cost(operands, std::span(results_).subspan(i, 1)).flops;
  }
  return flops;
}

std::string FusedProgram::text() const {
  std::string text;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    text += fmt::format("{}#{} = {}", i == 0 ? "" : "; ", inputs_.size() + i, describe(*steps_[i].op));
    for (const std::int32_t operand : steps_[i].operands) text += fmt::format(" #{}", operand);
  }
  text += " ->";
  for (const std::int32_t step : outputs_) text += fmt::format(" #{}", inputs_.size() + static_cast<std::size_t>(step));
  return text;
}

void FusedProgram::run_tile(const Operands& operands, const StepKey& key, std::span<std::byte* const> outputs,
                            std::int64_t origin, std::int64_t first, std::int64_t count, std::byte* scratch) const {
  const auto slot = [&](std::int32_t index) {
    return scratch + static_cast<std::size_t>(index) * operands.slot_bytes_;
  };
  std::array<TileOperand, kMaxInputs + kMaxSteps> known;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const Operands::Source& source = operands.sources_[i];
    known[i] = source.tile(first, count, slot(source.slot));
  }
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const FusedStep& step = steps_[i];
    const DType dtype = results_[i].dtype;
    std::byte* const to = slot_[i] >= 0 ? slot(slot_[i])
                                        : outputs[static_cast<std::size_t>(output_of_[i])] +
                                              static_cast<std::size_t>(first - origin) * size_of(dtype);
    std::array<TileOperand, kMaxInputs + kMaxSteps> read;
    for (std::size_t k = 0; k < step.operands.size(); ++k) read[k] = known[static_cast<std::size_t>(step.operands[k])];
    step.op->run_tile_cpu({.inputs = std::span(read).first(step.operands.size()),
                           .output = to,
                           .dtype = dtype,
                           .first = first,
                           .count = count,
                           .key = key});
    known[inputs_.size() + i] = {to, 1, dtype};
  }
}

const void* FusedTiles::read(std::int64_t first, std::int64_t count) {
  // Pieces of operators begin on multiples of the unit.
  const std::int64_t origin = first / kTileUnit * kTileUnit, end = first + count, tile = operands_.tile();
  std::byte* const outputs[] = {tile_};
  for (std::int64_t i = origin; i < end; i += tile)
    program_.run_tile(operands_, key_, outputs, origin, i, std::min(tile, end - i), scratch_);
  return tile_ + static_cast<std::size_t>(first - origin) * size_of(dtype_);
}

}  // namespace convoy
