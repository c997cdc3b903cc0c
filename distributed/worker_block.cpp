#include "distributed/worker_block.h"

#include <algorithm>

namespace convoy::distributed {

WorkerBlock worker_block(std::int32_t leaves, std::int32_t rank, std::int32_t world) {
  WorkerBlock block;
  block.layout.leaves = leaves;
  for (std::int32_t r = 0; r < world; ++r) {
    const Subtree own = block_of(leaves, r, world);
    block.layout.subtrees.push_back(maximal_subtrees(leaves, own.begin, own.end));
  }
  block.leaves = block_of(leaves, rank, world);
  block.schedule = block_schedule(leaves, block.leaves);
  return block;
}

ScalarSum::ScalarSum(const WorkerBlock& block, std::size_t width)
    : block_(block), width_(width), slots_(static_cast<std::size_t>(block.schedule.slots) * width), leaf_(width) {}

void ScalarSum::add(std::int32_t leaf, std::span<const double> values) {
  const LeafStep& step = block_.schedule.leaves[static_cast<std::size_t>(leaf)];
  std::copy_n(values.begin(), width_, leaf_.begin());
  for (const std::int32_t merge : step.merge) {
    for (std::size_t i = 0; i < width_; ++i) leaf_[i] = slot(merge)[i] + leaf_[i];
  }
  std::copy(leaf_.begin(), leaf_.end(), slot(step.store));
}

std::vector<double> ScalarSum::reduce(Communicator& communicator) const {
  std::vector<const void*> partials;
  for (const std::int32_t index : block_.schedule.subtree_slot)
    partials.push_back(slots_.data() + static_cast<std::size_t>(index) * width_);
  std::vector<double> total(width_);
  const auto count = static_cast<std::int64_t>(width_);
  communicator.tree_all_reduce(ReduceType::kF64, block_.layout, partials, total.data(), count, count);
  return total;
}

}  // namespace convoy::distributed
