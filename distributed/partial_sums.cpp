#include "distributed/partial_sums.h"

#include <algorithm>

#include "core/base/error.h"

namespace convoy::distributed {

PartialSums::PartialSums(std::int32_t leaves, std::int32_t slots) : leaves_(leaves), slots_(slots) {
  nodes_.reserve(static_cast<std::size_t>(slots));
}

// Of the first node whose leaves do not all lie before `leaf`.
std::size_t PartialSums::first_from(std::int32_t leaf) const {
  return static_cast<std::size_t>(
      std::ranges::upper_bound(nodes_, leaf, {}, [](const Node& node) { return node.leaves.end; }) - nodes_.begin());
}

const PartialSums::Node* PartialSums::find(const Subtree& leaves) const {
  const std::size_t i = first_from(leaves.begin);
  return i < nodes_.size() && nodes_[i].leaves == leaves ? &nodes_[i] : nullptr;
}

// The lowest, which was in use lately and may lie in the cache.
std::int32_t PartialSums::free_slot() const {
  const std::int32_t first = slot_zero_ == SlotZero::kReserved ? 1 : 0;
  for (std::int32_t slot = first; slot < slots_; ++slot)
    if (std::ranges::find(nodes_, slot, &Node::slot) == nodes_.end()) return slot;
  fail(ErrorCode::kUnavailable, "no room for another partial sum: expected at most {} at a time", slots_ - first);
}

PartialSums::Move PartialSums::use_slot_zero(SlotZero use) {
  slot_zero_ = use;
  for (Node& node : nodes_) {
    const bool moves = use == SlotZero::kReserved ? node.slot == 0 : is_root(node.leaves);
    if (!moves) continue;
    const Move move{.from = node.slot, .to = use == SlotZero::kReserved ? free_slot() : 0};
    node.slot = move.to;
    return move;
  }
  return {};
}

void PartialSums::keep(std::span<const Subtree> wanted) {
  std::size_t at = 0;
  std::erase_if(nodes_, [&](const Node& node) {
    while (at < wanted.size() && wanted[at].end <= node.leaves.begin) ++at;
    return at == wanted.size() || node.leaves.begin < wanted[at].begin || node.leaves.end > wanted[at].end;
  });
}

void PartialSums::plan(std::int32_t leaf, Step& step) const {
  const std::size_t at = first_from(leaf);
  if (leaf < 0 || leaf >= leaves_ || (at < nodes_.size() && nodes_[at].leaves.begin <= leaf))
    fail(ErrorCode::kInvalidArgument, "leaf {} is summed already, or not one of {}", leaf, leaves_);
  step.merges.clear();
  step.sum = {leaf, leaf + 1};
  std::int64_t index = leaf;
  for (std::int64_t size = 1; size < leaves_; size *= 2, index /= 2) {
    const std::int64_t begin = (index ^ 1) * size;
    if (begin >= leaves_) continue;  // an absent sibling
    const Subtree sibling{static_cast<std::int32_t>(begin),
                          static_cast<std::int32_t>(std::min<std::int64_t>(begin + size, leaves_))};
    const Node* const held = find(sibling);
    if (held == nullptr) break;
    const bool held_is_left = sibling.begin < step.sum.begin;
    step.merges.push_back({held->slot, held_is_left});
    (held_is_left ? step.sum.begin : step.sum.end) = held_is_left ? sibling.begin : sibling.end;
  }
  if (slot_zero_ == SlotZero::kOfTheWhole && is_root(step.sum))
    step.store = 0;
  else
    step.store = step.merges.empty() ? free_slot() : step.merges.back().slot;
}

void PartialSums::add(const Step& step) {
  const std::size_t first = first_from(step.sum.begin);
  const auto begin = nodes_.begin() + static_cast<std::ptrdiff_t>(first);
  const auto merged = nodes_.erase(begin, begin + static_cast<std::ptrdiff_t>(step.merges.size()));
  nodes_.insert(merged, {step.sum, step.store});
}

}  // namespace convoy::distributed
