// Who sums which leaves (logical shards) of a step.
//
// A worker may sum any set of leaves. Without failures each has a contiguous block; a step that is redone with other
// members leaves what has been summed with who summed it, and spreads the rest. Pure: equal on all ranks that put in
// the same.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

#include "distributed/communicator.h"
#include "distributed/leaf_set.h"

namespace convoy::distributed {

// The most sums a rank may end up with, held and new ones counted apart: each takes as much memory as the parameters,
// and address space that is reserved beforehand. No block of neighbours has as many; an assignment that needs more is
// not worth it.
constexpr std::int32_t most_nodes(std::int32_t leaves) {
  return 2 * static_cast<std::int32_t>(std::bit_width(static_cast<std::uint32_t>(leaves - 1))) + 1;
}

// Every leaf belongs to one rank.
struct Assignment {
  TreeLayout layout;  // subtrees[r]: the maximal nodes of rank r's leaves, in leaf order; none is possible

  std::int32_t world() const { return static_cast<std::int32_t>(layout.subtrees.size()); }
  LeafSet leaves_of(std::int32_t rank) const;
  bool operator==(const Assignment&) const = default;
};

// The contiguous blocks of block_of().
Assignment regular_assignment(std::int32_t leaves, std::int32_t world);

// Of a step that ranks have begun: held[r] is what rank r holds sums of, each of which is a maximal node of that set.
//  - What is held stays with its holder. Of two sums that overlap the lower rank's stays.
//  - The missing leaves are shared out so that the most a rank has to compute is as little as possible, in nodes of
//    the tree, first to those who hold the sibling, so that few sums are left.
// Where nothing is held, or some rank would need more than most_nodes() sums, it is the regular assignment.
Assignment redone_assignment(std::int32_t leaves, std::span<const LeafSet> held);

// Collective, at the start of an epoch: the redone assignment of `step`, from what each rank holds of it. A rank that
// is at an earlier step holds nothing.
Assignment agree_on_assignment(Communicator& communicator, std::int32_t leaves, std::int64_t step, const LeafSet& held);

}  // namespace convoy::distributed
