// The fixed binary tree that every sum over logical shards (and over chunks of a norm) follows, whoever computes it.
//
// The tree over n leaves is the perfect binary tree over the next power of two with the absent leaves left out: a
// range of n splits at the largest power of two below n. An absent operand is skipped, never added as zero. Node
// (level, index) covers leaves [index << level, (index + 1) << level) ∩ [0, n).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace convoy {

// Leaves [begin, end) that form one node of the tree.
struct Subtree {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  bool operator==(const Subtree&) const = default;
};

// The fewest nodes of the tree over n leaves that cover exactly [begin, end), in leaf order.
std::vector<Subtree> maximal_subtrees(std::int32_t n, std::int32_t begin, std::int32_t end);
// The same for any set of leaves, given in ascending order: the nodes that lie in it whose parent does not.
std::vector<Subtree> maximal_subtrees(std::int32_t n, std::span<const std::int32_t> leaves);

// The contiguous block of leaves that worker `rank` of `world` owns: blocks differ by at most one leaf.
Subtree block_of(std::int32_t n, std::int32_t rank, std::int32_t world);

// How to sum operands that are nodes of the tree over n leaves (disjoint, in leaf order, covering [0, n)): a list of
// additions operands[left] += operands[right]; the total ends up in operand 0.
struct TreeAdd {
  std::int32_t left = 0;
  std::int32_t right = 0;
  bool operator==(const TreeAdd&) const = default;
};
std::vector<TreeAdd> tree_additions(std::int32_t n, std::span<const Subtree> operands);

// One leaf of a block as it is summed with a bounded number of buffers (a binary counter of partial sums): the new
// leaf is added to the partials in `merge`, nearest first (sum = merge[0] + leaf; sum = merge[1] + sum; …), and the
// result is stored in slot `store`, which may be the last of `merge`.
struct LeafStep {
  std::vector<std::int32_t> merge;
  std::int32_t store = 0;
};
struct BlockSchedule {
  std::vector<LeafStep> leaves;   // one a leaf of the block, in order
  std::vector<Subtree> subtrees;  // what the slots hold at the end: subtrees[i] lies in slot subtree_slot[i]
  std::vector<std::int32_t> subtree_slot;
  std::int32_t slots = 0;  // buffers needed
};
BlockSchedule block_schedule(std::int32_t n, Subtree block);

// Sums values[0..n) along the tree, in place; the values are destroyed. Returns 0 for an empty span.
double tree_sum(std::span<double> values);

}  // namespace convoy
