// Sums the gradients, losses and counts of a step's logical shards (leaves), over all workers, along the fixed tree.
//
// A worker adds its shards one after another; what it keeps is a handful of partial sums (the maximal nodes of the tree
// that its shards make up), in an arena that peers may read. reduce() lets the workers finish the tree together, and
// leaves the partial sums as they are: when a step is redone with other members, each computes only what is missing.
//
// With the losses goes which leaves a sum is made of (distributed/contributions.h), noted where they are added: a sum
// in which a leaf is missing or counts twice is an internal error, before anything is written.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/base/tree.h"
#include "distributed/assignment.h"
#include "distributed/buckets.h"
#include "distributed/communicator.h"
#include "distributed/contributions.h"
#include "distributed/partial_sums.h"

namespace convoy::distributed {

// What a step's shards add up to besides gradients, in fp64.
struct LossSums {
  double loss = 0.0;   // summed over the targets
  double count = 0.0;  // targets that counted
  double stops = 0.0;  // how many shards' workers were asked to stop: all learn of it in the same step
};

// Arrays of the parameters' size, for partial sums and the reduced gradient, that a step of so many shards may need of
// a worker, whatever was lost: address space; what an assignment does not need is no memory.
std::int32_t most_gradient_arenas(std::int32_t shards);

// Life of a step, which may be begun again with another assignment (of another epoch) until it is applied:
//   begin_step(); while (!missing().empty()) { begin_leaf(); add() each parameter; end_leaf(); }  reduce();
class GradientReducer {
 public:
  // Keeps a reference to `layout`.
  GradientReducer(const BucketLayout& layout, std::int32_t shards);

  // Address space that any assignment may need, in bytes; how much of it becomes memory depends on the assignments.
  std::size_t arena_bytes() const;
  // Makes a part of the arena memory, zeroed; throws Error(kUnavailable) where there is not enough.
  using Commit = std::function<void(std::size_t offset, std::size_t bytes)>;
  // Hands the arena over (it lies in the shared segment when there are peers). Once. `commit` is called for a slot
  // before its first use, and again if it was given back; without it all of the arena is zeroed memory already, and
  // stays.
  void use_arena(std::span<std::byte> arena, Commit commit = {});

  // What `rank` is to sum of step `step`: what is held of that step and lies in the assignment stays, everything else
  // is dropped.
  void begin_step(std::int64_t step, const Assignment& assignment, std::int32_t rank);
  // Leaves of that step whose sums are held; none for another step, or amid a leaf.
  LeafSet held(std::int64_t step) const;
  // Leaves still to be computed, ascending. Valid until the next begin_step() or drop(); as leaves are ended in this
  // order, a span from before stays as it was.
  std::span<const std::int32_t> missing() const { return std::span(missing_).subspan(done_); }

  // One missing leaf, of any: every parameter's gradient is added once (zeros where the shard did not use it). Sums are
  // merged in place, so a leaf that was begun must be ended, or everything dropped; begin_step() does that too.
  void begin_leaf(std::int32_t leaf);
  void add(std::size_t parameter, std::span<const float> gradient);
  // Where the leaf that was begun is kept, if no sum is held that it is added to: a parameter's gradient may be made
  // there, at its offset in the layout, before it is added, and is not copied then. Null where it is added.
  float* leaf_memory() const;
  // The same place for a worker's only leaf of a step that is begun from nothing, `alone` or among others.
  float* memory_of_one(bool alone) const { return slot(alone ? 0 : 1); }
  void end_leaf(const LossSums& sums);
  // Nothing is held any more.
  void drop();

  // Collective; no leaf may be missing. After it reduced_data() holds the sum over all shards, the same bits on every
  // rank. Partial sums stay as they are whether it succeeds or throws (with one worker the sum is one of them). Throws
  // Error(kInternal), with nothing written, where the sum would not be made of every leaf once.
  LossSums reduce(Communicator& communicator, const std::function<void()>& after_bucket = {});
  // The reduced gradient as a whole, layout().elements() elements: always at the same place, the beginning of the
  // arena.
  float* reduced_data() const { return arena_; }
  std::span<const float> reduced() const { return {arena_, static_cast<std::size_t>(layout_.elements())}; }
  // What came with it: the losses' sums, and by leaf the rank that gave it.
  const LossSums& reduced_sums() const { return reduced_sums_; }
  std::span<const std::int32_t> contributions() const { return contributions_; }

  // All three, to be written by whoever gets them of another worker instead: no partial sum lies there. They are of
  // `step` once it says so.
  struct Place {
    std::span<float> gradient;
    std::span<LossSums, 1> sums;
    std::span<std::int32_t> contributions;
  };
  Place place_to_take_over();
  void taken_over(std::int64_t step);

  // The step whose sum these are; -1 for none. They stay until the next step's first bucket is written, when all
  // members have applied it (with one worker, who alone could need it: until that step's first leaf). Any thread: what
  // is read of them is sound if this is the same step before and afterwards.
  std::int64_t reduced_step() const { return reduced_step_.load(std::memory_order_acquire); }

 private:
  using Scalars = std::array<double, 3>;

  std::size_t slot_bytes() const;
  float* slot(std::int32_t index) const;
  void commit(std::int32_t slot);
  void give_back_idle();
  void move(const PartialSums::Move& move);
  std::span<const Subtree> own_nodes() const;
  void find_missing();
  void forget();
  void check_given() const;
  void lay_out_scalars();
  void withdraw_reduced();

  const BucketLayout& layout_;
  const std::int32_t shards_;
  const std::int32_t slots_;
  float* arena_ = nullptr;
  Commit commit_;
  std::vector<bool> committed_;  // by slot
  std::int32_t used_ = 0;        // slots, the highest counts, since the step was begun

  std::int64_t step_ = -1;
  std::atomic<std::int64_t> reduced_step_ = -1;
  LossSums reduced_sums_;
  std::vector<std::int32_t> contributions_;
  Assignment assignment_;
  std::int32_t rank_ = 0;
  PartialSums sums_;
  std::vector<Scalars> scalars_;  // by slot: loss, count, stops
  std::vector<LeafSet> given_;    // by slot: what was added to what lies there
  LeafSet adding_to_;             // scratch
  ContributionCode code_;         // of the assignment
  std::vector<double> rows_;      // scalars and contributions of each partial sum, as they travel
  std::vector<double> total_;
  std::vector<std::int32_t> missing_;  // of the assignment, in order; the first done_ have been computed since
  std::size_t done_ = 0;
  bool in_leaf_ = false;
  std::int32_t adding_ = 0;  // the leaf that was begun, and how
  PartialSums::Step leaf_;
};

// The sum of squares of the reduced gradient: over each parameter's chunks along a tree, then over the parameters in
// name order along a tree; sums that are no gradients are left out. `chunk_squares` holds one number a chunk of the
// arena.
double squared_norm(const BucketLayout& layout, std::span<const double> chunk_squares);

}  // namespace convoy::distributed
