#include "core/graph/passes/fused_elementwise.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/device/parallel.h"

namespace convoy {
namespace {

constexpr std::int64_t kMostTile = 2048;  // elements
constexpr std::size_t kScratchBytes = 96 * 1024;
constexpr std::int64_t kThreadGrain = 16384;  // elements worth a thread

}  // namespace

// An input of a call: dimensions that step evenly are merged.
struct FusedElementwise::Source {
  const std::byte* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape, strides;
  std::int32_t slot = -1;  // for tiles that do not lie in one piece

  Source() = default;
  Source(const Tensor& tensor, const Shape& whole)
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

  bool in_one_piece() const { return shape.rank() == 1 && (strides[0] == 0 || strides[0] == 1); }

  const std::byte* row(std::int64_t index) const {
    std::int64_t offset = 0;
    for (int i = shape.rank() - 2; i >= 0; --i) {
      offset += index % shape[i] * strides[i];
      index /= shape[i];
    }
    return data + offset * static_cast<std::int64_t>(size_of(dtype));
  }

  // Elements [first, first + count): where they lie if that is possible, otherwise copied to `scratch`.
  TileOperand tile(std::int64_t first, std::int64_t count, std::byte* scratch) const {
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

 private:
  template <typename Bits>
  void gather(std::int64_t first, std::int64_t count, std::byte* scratch) const {
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
};

struct FusedElementwise::Call {
  std::array<Source, kMaxInputs> sources;
  std::array<std::byte*, kMaxSteps> outputs{};  // by place in outputs_
  std::size_t slot_bytes = 0;
  const StepKey& key;
};

FusedElementwise::FusedElementwise(Specs inputs, std::vector<FusedStep> steps, std::vector<std::int32_t> outputs)
    : inputs_(std::move(inputs)),
      steps_(std::move(steps)),
      outputs_(std::move(outputs)),
      output_of_(steps_.size(), -1) {
  if (inputs_.size() > kMaxInputs || steps_.empty() || steps_.size() > kMaxSteps || outputs_.empty())
    fail(ErrorCode::kInternal, "{}: {} inputs, {} steps, {} outputs; expected at most {} and {}", name(),
         inputs_.size(), steps_.size(), outputs_.size(), kMaxInputs, kMaxSteps);
  for (std::size_t k = 0; k < outputs_.size(); ++k)
    output_of_[static_cast<std::size_t>(outputs_[k])] = static_cast<std::int32_t>(k);
  const std::size_t count = inputs_.size();
  std::vector<std::size_t> last(steps_.size(), 0);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    Specs operands;
    for (const std::int32_t operand : steps_[i].operands) {
      const auto index = static_cast<std::size_t>(operand);
      if (index >= count + i) fail(ErrorCode::kInternal, "{}: step {} reads what is not there", name(), i);
      if (index >= count) last[index - count] = i;
      operands.push_back(index < count ? inputs_[index] : results_[index - count]);
    }
    if (!steps_[i].op->traits().tiled) fail(ErrorCode::kInternal, "{}: {}", name(), steps_[i].op->name());
    results_.push_back(steps_[i].op->infer(operands).front());
    if (results_[i].shape != results_[0].shape)
      fail(ErrorCode::kInternal, "{}: steps of {} and {}", name(), results_[0].to_string(), results_[i].to_string());
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

Traits FusedElementwise::traits() const {
  bool random = false;
  for (const FusedStep& step : steps_) random = random || step.op->traits().random;
  return {.elementwise = true, .random = random, .strided = true, .differentiable = false};
}

void FusedElementwise::attributes(AttributeVisitor& visitor) const {
  std::string text;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    text += fmt::format("{}#{} = {}", i == 0 ? "" : "; ", inputs_.size() + i, describe(*steps_[i].op));
    for (const std::int32_t operand : steps_[i].operands) text += fmt::format(" #{}", operand);
  }
  visitor.visit("steps", std::string_view(text));
  const std::vector<std::int64_t> outputs(outputs_.begin(), outputs_.end());
  visitor.visit("outputs", std::span<const std::int64_t>(outputs));
}

Specs FusedElementwise::infer(std::span<const Spec> in) const {
  bool sound = in.size() == inputs_.size();
  for (std::size_t i = 0; sound && i < in.size(); ++i)
    sound = in[i].dtype == inputs_[i].dtype && in[i].shape == inputs_[i].shape;
  if (!sound) fail(ErrorCode::kInvalidArgument, "{}: other inputs than those that it was made for", name());
  Specs outputs;
  for (const std::int32_t step : outputs_) outputs.push_back(results_[static_cast<std::size_t>(step)]);
  return outputs;
}

void FusedElementwise::run_cpu(KernelArgs& args) const {
  const Shape& shape = results_[0].shape;
  const std::int64_t elements = shape.elements();
  Call call{.sources = {}, .slot_bytes = 0, .key = args.key};
  std::int32_t slots = slots_;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    call.sources[i] = Source(args.inputs[i], shape);
    if (!call.sources[i].in_one_piece()) call.sources[i].slot = slots++;
  }
  for (std::size_t k = 0; k < outputs_.size(); ++k) call.outputs[k] = static_cast<std::byte*>(args.outputs[k].raw());
  const auto room = static_cast<std::int64_t>(kScratchBytes / (static_cast<std::size_t>(std::max(slots, 1)) * widest_));
  const std::int64_t tile = std::min(kMostTile, room / kTileUnit * kTileUnit);
  call.slot_bytes = static_cast<std::size_t>(tile) * widest_;
  const int threads = static_cast<CpuDevice&>(args.device).threads();
  const std::int64_t tiles = (elements + tile - 1) / tile;
  parallel_for(threads, tiles, std::max<std::int64_t>(1, kThreadGrain / tile),
               [&](std::int64_t begin, std::int64_t end) {
                 alignas(Device::kAlignment) std::byte scratch[kScratchBytes];
                 for (std::int64_t i = begin; i < end; ++i)
                   run_tile(call, i * tile, std::min(tile, elements - i * tile), scratch);
               });
}

void FusedElementwise::run_tile(const Call& call, std::int64_t first, std::int64_t count, std::byte* scratch) const {
  const auto slot = [&](std::int32_t index) { return scratch + static_cast<std::size_t>(index) * call.slot_bytes; };
  std::array<TileOperand, kMaxInputs + kMaxSteps> known;
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    known[i] = call.sources[i].tile(first, count, slot(std::max(call.sources[i].slot, 0)));
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const FusedStep& step = steps_[i];
    const DType dtype = results_[i].dtype;
    std::byte* const to = slot_[i] >= 0 ? slot(slot_[i])
                                        : call.outputs[static_cast<std::size_t>(output_of_[i])] +
                                              static_cast<std::size_t>(first) * size_of(dtype);
    std::array<TileOperand, kMaxInputs> operands;
    for (std::size_t k = 0; k < step.operands.size(); ++k)
      operands[k] = known[static_cast<std::size_t>(step.operands[k])];
    step.op->run_tile_cpu({.inputs = std::span(operands).first(step.operands.size()),
                           .output = to,
                           .dtype = dtype,
                           .first = first,
                           .count = count,
                           .key = call.key});
    known[inputs_.size() + i] = {to, 1, dtype};
  }
}

}  // namespace convoy
