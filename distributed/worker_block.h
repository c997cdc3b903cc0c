// The leaves of the fixed tree (logical shards, or batches of an evaluation) that one worker owns, and how they are
// summed: by itself, then together with the others.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/tree.h"
#include "distributed/communicator.h"

namespace convoy::distributed {

struct WorkerBlock {
  Subtree leaves;
  BlockSchedule schedule;  // of this worker's leaves
  TreeLayout layout;       // of all workers' partial sums
};

// The block of `rank` of `world` workers that share `leaves` leaves.
WorkerBlock worker_block(std::int32_t leaves, std::int32_t rank, std::int32_t world);

// Sums a few fp64 numbers of each leaf: losses, counts.
class ScalarSum {
 public:
  ScalarSum(const WorkerBlock& block, std::size_t width);

  // The numbers of the leaf at position `leaf` of the block; leaves come in order.
  void add(std::int32_t leaf, std::span<const double> values);
  // Collective: the sums over all leaves, the same bits on every rank.
  std::vector<double> reduce(Communicator& communicator) const;

 private:
  double* slot(std::int32_t index) { return slots_.data() + static_cast<std::size_t>(index) * width_; }

  const WorkerBlock& block_;
  std::size_t width_;
  std::vector<double> slots_;
  std::vector<double> leaf_;
};

}  // namespace convoy::distributed
