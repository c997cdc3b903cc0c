// Collectives among the workers of one membership epoch.
//
// A communicator lives for ONE epoch (one ballot) and is used by one thread, except abort(). Every call is collective:
// all ranks make the same calls in the same order. Buffers are plain memory; counts and offsets are in bytes unless
// said otherwise. A call that fails throws Error(kPeerLost) (PeerLost where it is known who was lost) and leaves the
// communicator broken for good: build a new one for the next epoch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/tree.h"

namespace convoy::distributed {

enum class ReduceType : std::uint8_t { kF32, kF64 };

// Who holds which partial sums of a fixed-order reduction: subtrees[r] are the nodes of the tree over `leaves` leaves
// that rank r holds, in leaf order. Together the ranks cover every leaf once. Equal on all ranks.
struct TreeLayout {
  std::int32_t leaves = 0;
  std::vector<std::vector<Subtree>> subtrees;
  bool operator==(const TreeLayout&) const = default;
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  std::int32_t rank() const { return rank_; }
  std::int32_t size() const { return size_; }

  // Sends send[r] to rank r and receives receive[r] from it; sizes of matching blocks must agree.
  virtual void all_to_all_v(std::span<const std::span<const std::byte>> send,
                            std::span<const std::span<std::byte>> receive) = 0;
  // Every rank ends up with rank r's `send` in receive[r]. `send` may be receive[rank()].
  virtual void all_gather_v(std::span<const std::byte> send, std::span<const std::span<std::byte>> receive) = 0;
  // Rank r ends up with the sum (rank order) of everybody's slice r; slices are counts[r] elements, consecutive in
  // send.
  virtual void reduce_scatter(ReduceType type, const void* send, void* receive,
                              std::span<const std::int64_t> counts) = 0;
  // In place; the order of summation is the engine's own, the same on every rank.
  virtual void all_reduce(ReduceType type, void* data, std::int64_t count) = 0;
  virtual void broadcast(void* data, std::size_t bytes, std::int32_t root) = 0;
  virtual void send(const void* data, std::size_t bytes, std::int32_t to) = 0;
  virtual void receive(void* data, std::size_t bytes, std::int32_t from) = 0;

  // Sums the subtrees of all ranks along the fixed tree (core/base/tree.h) into `result` on every rank: the bits
  // depend on the leaves only, not on who held which. Element slices owned by ranks begin at multiples of
  // `granularity` elements. The default implementation needs only all_to_all_v and all_gather_v.
  // partials[i] is this rank's sum over layout.subtrees[rank()][i], `count` elements; `result` must not overlap them.
  virtual void tree_all_reduce(ReduceType type, const TreeLayout& layout, std::span<const void* const> partials,
                               void* result, std::int64_t count, std::int64_t granularity);

  // Makes every current and future call on every rank's side of this communicator fail soon. Any thread.
  virtual void abort() noexcept = 0;

 protected:
  Communicator(std::int32_t rank, std::int32_t size) : rank_(rank), size_(size) {}
  // Throws Error(kInvalidArgument) unless the layout is for size() ranks and this one has `partials` subtrees.
  void check_tree_layout(const TreeLayout& layout, std::size_t partials) const;

 private:
  std::int32_t rank_;
  std::int32_t size_;
};

}  // namespace convoy::distributed
