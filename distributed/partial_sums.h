// Which sums over leaves of the fixed tree a worker holds, and in which of its slots each lies: the plan of its
// additions, without the numbers.
//
// Leaves come in any order. Each is merged at once with the held siblings on its way up the tree (absent ones are
// skipped), so what is held are always the maximal nodes of the leaves that are held.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/tree.h"

namespace convoy::distributed {

class PartialSums {
 public:
  struct Node {
    Subtree leaves;
    std::int32_t slot = 0;
  };
  // One addition: the held sum in `slot` and what has been summed so far of the new leaf, in the tree's order.
  struct Merge {
    std::int32_t slot = 0;
    bool held_is_left = true;
  };
  // How a leaf is added: `merges` from the leaf upwards; the last result goes to `store`, which may be the slot of one
  // of them. Without merges the leaf itself is stored.
  struct Step {
    std::vector<Merge> merges;
    std::int32_t store = 0;
    Subtree sum;  // what is in `store` then
  };

  // Sums lie in slots [0, slots).
  PartialSums(std::int32_t leaves, std::int32_t slots);

  std::span<const Node> nodes() const { return nodes_; }  // in leaf order

  // From here on slot 0 is either where the sum over all leaves is to end up, or kept free. If a sum must move for
  // that, the caller has to: the table has it in `to` already.
  enum class SlotZero { kOfTheWhole, kReserved };
  struct Move {
    std::int32_t from = 0;
    std::int32_t to = 0;
    bool needed() const { return from != to; }
  };
  Move use_slot_zero(SlotZero use);

  // Drops every node that does not lie in one of `wanted` (nodes of the tree, in leaf order).
  void keep(std::span<const Subtree> wanted);
  void clear() { nodes_.clear(); }

  // What adding a leaf takes; nothing has changed until add(). Throws Error(kInvalidArgument) for a leaf that is held,
  // Error(kUnavailable) where no slot is left. Reuses step's memory.
  void plan(std::int32_t leaf, Step& step) const;
  void add(const Step& step);

 private:
  std::size_t first_from(std::int32_t leaf) const;
  const Node* find(const Subtree& leaves) const;
  std::int32_t free_slot() const;
  bool is_root(const Subtree& leaves) const { return leaves == Subtree{0, leaves_}; }

  std::int32_t leaves_;
  std::int32_t slots_;
  SlotZero slot_zero_ = SlotZero::kOfTheWhole;
  std::vector<Node> nodes_;
};

}  // namespace convoy::distributed
