// Sums the gradients, losses and counts of a step's logical shards, over all workers, along the fixed tree.
//
// A worker adds its shards one after another; what it keeps is a handful of partial sums (the nodes of the tree that
// its block of shards completes), in an arena that peers may read. reduce() lets the workers finish the tree together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/tree.h"
#include "distributed/buckets.h"
#include "distributed/communicator.h"
#include "distributed/worker_block.h"

namespace convoy::distributed {

// What a step's shards add up to besides gradients, in fp64.
struct LossSums {
  double loss = 0.0;   // summed over the targets
  double count = 0.0;  // targets that counted
  double stops = 0.0;  // how many shards' workers were asked to stop: all learn of it in the same step
};

class GradientReducer {
 public:
  // The block of logical shards that `rank` of `world` owns, out of `shards`. Keeps a reference to `layout`.
  GradientReducer(const BucketLayout& layout, std::int32_t shards, std::int32_t rank, std::int32_t world);

  Subtree block() const { return block_.leaves; }

  // fp32 memory the reducer works in, in bytes: partial sums and the reduced gradient.
  std::size_t arena_bytes() const;
  // Hands that memory over (zeroed by the caller; it lies in the shared segment when there are peers). Once.
  void use_arena(std::span<std::byte> arena);

  // Adds the gradient of one parameter from the shard at position `leaf` of the block. Shards come in order, and every
  // parameter of a shard is added once (zeros where the shard did not use it).
  void add(std::int32_t leaf, std::size_t parameter, std::span<const float> gradient);
  void add_sums(std::int32_t leaf, LossSums sums);

  // Collective. After it reduced() holds the sum over all shards, the same bits on every rank.
  LossSums reduce(Communicator& communicator);
  std::span<const float> reduced(const Bucket& bucket) const;
  // One pointer to the reduced gradient as a whole; layout().elements() elements.
  float* reduced_data() const { return reduced_; }

 private:
  float* slot(std::int32_t index) const;
  // Of all leaves, so that its own sum is the whole one.
  bool owns_all() const;

  const BucketLayout& layout_;
  WorkerBlock block_;
  ScalarSum sums_;
  float* arena_ = nullptr;
  float* reduced_ = nullptr;
};

// The sum of squares of the reduced gradient: over each parameter's chunks along a tree, then over the parameters in
// name order along a tree; sums that are no gradients are left out. `chunk_squares` holds one number a chunk of the
// arena.
double squared_norm(const BucketLayout& layout, std::span<const double> chunk_squares);

}  // namespace convoy::distributed
