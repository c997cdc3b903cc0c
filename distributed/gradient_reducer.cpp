#include "distributed/gradient_reducer.h"

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "distributed/sum_kernel.h"

namespace convoy::distributed {
namespace {

constexpr std::int64_t kPiece = 4096;  // elements: the partial sum of a piece stays in the first-level cache

}  // namespace

GradientReducer::GradientReducer(const BucketLayout& layout, std::int32_t shards, std::int32_t rank, std::int32_t world)
    : layout_(layout), block_(worker_block(shards, rank, world)), sums_(block_, 3) {}

std::size_t GradientReducer::arena_bytes() const {
  return static_cast<std::size_t>((block_.schedule.slots + (owns_all() ? 0 : 1)) * layout_.elements()) * sizeof(float);
}

void GradientReducer::use_arena(std::span<std::byte> arena) {
  if (arena.size() < arena_bytes())
    fail(ErrorCode::kInternal, "the gradient arena has {} bytes, {} are needed", arena.size(), arena_bytes());
  arena_ = reinterpret_cast<float*>(arena.data());
  reduced_ = slot(owns_all() ? block_.schedule.subtree_slot[0] : block_.schedule.slots);
}

bool GradientReducer::owns_all() const { return block_.leaves == Subtree{0, block_.layout.leaves}; }

float* GradientReducer::slot(std::int32_t index) const { return arena_ + index * layout_.elements(); }

void GradientReducer::add(std::int32_t leaf, std::size_t parameter, std::span<const float> gradient) {
  const LeafStep& step = block_.schedule.leaves[static_cast<std::size_t>(leaf)];
  const std::int64_t offset = layout_.offset(parameter);
  const auto elements = static_cast<std::int64_t>(gradient.size());
  const float* source = gradient.data();
  float* target = slot(step.store) + offset;
  if (step.merge.empty()) {
    copy(source, target, gradient.size_bytes(), Store::kCache);
    return;
  }
  // One pass over memory however many partial sums the shard completes.
  std::array<float, kPiece> partial;
  for (std::int64_t begin = 0; begin < elements; begin += kPiece) {
    const auto count = static_cast<std::size_t>(std::min(kPiece, elements - begin));
    const float* sum = source + begin;
    for (std::size_t i = 0; i < step.merge.size(); ++i) {
      float* out = i + 1 == step.merge.size() ? target + begin : partial.data();
      distributed::add(slot(step.merge[i]) + offset + begin, sum, out, count, Store::kCache);
      sum = out;
    }
  }
}

void GradientReducer::add_sums(std::int32_t leaf, LossSums sums) {
  const std::array<double, 3> values{sums.loss, sums.count, sums.stops};
  sums_.add(leaf, values);
}

LossSums GradientReducer::reduce(Communicator& communicator) {
  const std::vector<double> total = sums_.reduce(communicator);
  if (owns_all()) return {.loss = total[0], .count = total[1], .stops = total[2]};
  const std::vector<std::int32_t>& slots = block_.schedule.subtree_slot;
  std::vector<const void*> partials(slots.size());
  for (const Bucket& bucket : layout_.buckets()) {
    for (std::size_t i = 0; i < partials.size(); ++i) partials[i] = slot(slots[i]) + bucket.begin;
    communicator.tree_all_reduce(ReduceType::kF32, block_.layout, partials, reduced_ + bucket.begin, bucket.elements(),
                                 kChunkElements);
  }
  return {.loss = total[0], .count = total[1], .stops = total[2]};
}

std::span<const float> GradientReducer::reduced(const Bucket& bucket) const {
  return {reduced_ + bucket.begin, static_cast<std::size_t>(bucket.elements())};
}

double squared_norm(const BucketLayout& layout, std::span<const double> chunk_squares) {
  std::vector<double> parameters;
  parameters.reserve(layout.parameters().size());
  std::vector<double> chunks;
  for (const std::size_t parameter : layout.by_name()) {
    if (!layout.parameters()[parameter].is_gradient) continue;
    const auto first = static_cast<std::size_t>(layout.offset(parameter) / kChunkElements);
    const std::int64_t elements = layout.parameters()[parameter].elements;
    const auto count = static_cast<std::size_t>((elements + kChunkElements - 1) / kChunkElements);
    const auto begin = chunk_squares.begin() + static_cast<std::ptrdiff_t>(first);
    chunks.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    parameters.push_back(tree_sum(chunks));
  }
  return tree_sum(parameters);
}

}  // namespace convoy::distributed
