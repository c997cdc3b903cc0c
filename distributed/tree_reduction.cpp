#include "distributed/tree_reduction.h"

#include <algorithm>
#include <numeric>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

constexpr std::size_t kChunkBytes = 16 << 10;  // a chunk of three operands fits the first-level cache
constexpr std::int64_t kLineElements = 16;     // a slice shares no cache line with its neighbour

}  // namespace

std::size_t element_size(ReduceType type) { return type == ReduceType::kF32 ? sizeof(float) : sizeof(double); }

ElementSlice slice_of(std::int64_t count, std::int64_t granularity, std::int32_t rank, std::int32_t size) {
  if (granularity < 1)
    fail(ErrorCode::kInvalidArgument, "slices of {} elements: granularity must be at least 1", granularity);
  const std::int64_t unit = granularity * ((kLineElements + granularity - 1) / granularity);
  const std::int64_t units = (count + unit - 1) / unit;
  const auto begin = [&](std::int64_t r) { return std::min(count, units * r / size * unit); };
  return {begin(rank), begin(rank + 1)};
}

TreeReduction::TreeReduction(TreeLayout layout) : layout_(std::move(layout)) {
  std::vector<Subtree> nodes;
  for (std::size_t rank = 0; rank < layout_.subtrees.size(); ++rank)
    for (std::size_t i = 0; i < layout_.subtrees[rank].size(); ++i)
      operands_.push_back({static_cast<std::int32_t>(rank), static_cast<std::int32_t>(i)});
  const auto node_of = [this](const Operand& operand) {
    return layout_.subtrees[static_cast<std::size_t>(operand.rank)][static_cast<std::size_t>(operand.index)];
  };
  std::ranges::sort(operands_, {}, [&](const Operand& operand) { return node_of(operand).begin; });
  for (const Operand& operand : operands_) nodes.push_back(node_of(operand));
  compile(tree_additions(layout_.leaves, nodes));
}

TreeReduction TreeReduction::in_rank_order(std::int32_t operands) {
  TreeReduction reduction;
  std::vector<TreeAdd> additions;
  for (std::int32_t rank = 0; rank < operands; ++rank) {
    reduction.operands_.push_back({rank, 0});
    if (rank > 0) additions.push_back({0, rank});
  }
  reduction.compile(additions);
  return reduction;
}

// Operands are read-only (they may belong to a peer), so each addition goes to scratch; a scratch operand is reused.
void TreeReduction::compile(std::span<const TreeAdd> additions) {
  std::vector<std::int32_t> place(operands_.size());
  std::iota(place.begin(), place.end(), 0);
  std::vector<std::int32_t> free;
  std::int32_t buffers = 0;
  for (const TreeAdd& addition : additions) {
    std::int32_t& left = place[static_cast<std::size_t>(addition.left)];
    const std::int32_t right = place[static_cast<std::size_t>(addition.right)];
    Step step{left, right, 0};
    if (left < 0) {
      step.to = left;
      if (right < 0) free.push_back(right);
    } else if (right < 0) {
      step.to = right;
    } else if (!free.empty()) {
      step.to = free.back();
      free.pop_back();
    } else {
      step.to = ~buffers++;
    }
    left = step.to;
    steps_.push_back(step);
  }
  scratch_.resize(static_cast<std::size_t>(buffers) * kChunkBytes / sizeof(CacheLine));
}

template <typename T>
void TreeReduction::sum_elements(std::span<const void* const> operands, T* out, std::int64_t count, Store store) {
  constexpr auto kChunk = static_cast<std::int64_t>(kChunkBytes / sizeof(T));
  T* const scratch = reinterpret_cast<T*>(scratch_.data());
  for (std::int64_t begin = 0; begin < count; begin += kChunk) {
    const auto length = static_cast<std::size_t>(std::min(kChunk, count - begin));
    const auto source = [&](std::int32_t place) -> const T* {
      return place >= 0 ? static_cast<const T*>(operands[static_cast<std::size_t>(place)]) + begin
                        : scratch + ~place * kChunk;
    };
    for (std::size_t i = 0; i + 1 < steps_.size(); ++i)
      add(source(steps_[i].left), source(steps_[i].right), scratch + ~steps_[i].to * kChunk, length, Store::kCache);
    add(source(steps_.back().left), source(steps_.back().right), out + begin, length, store);
  }
}

void TreeReduction::sum(ReduceType type, std::span<const void* const> operands, void* out, std::int64_t count,
                        Store store) {
  if (operands.size() != operands_.size())
    fail(ErrorCode::kInternal, "{} operands for a sum of {}", operands.size(), operands_.size());
  if (count == 0 || operands.empty()) return;
  if (steps_.empty()) {
    if (operands[0] != out) copy(operands[0], out, static_cast<std::size_t>(count) * element_size(type), store);
  } else if (type == ReduceType::kF32) {
    sum_elements(operands, static_cast<float*>(out), count, store);
  } else {
    sum_elements(operands, static_cast<double*>(out), count, store);
  }
}

}  // namespace convoy::distributed
