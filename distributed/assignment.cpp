#include "distributed/assignment.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

constexpr std::int32_t kMissing = -1;  // nobody holds a leaf of the node
constexpr std::int32_t kMixed = -2;    // several ranks have leaves of it, or some are missing

// The fixed tree, with the owner of every node: a rank that has all its leaves, kMissing or kMixed.
class OwnedTree {
 public:
  OwnedTree(std::int32_t leaves, std::vector<std::int32_t> owners) : leaves_(leaves) {
    levels_.push_back(std::move(owners));
    while (levels_.back().size() > 1) levels_.emplace_back((levels_.back().size() + 1) / 2, kMixed);
  }

  // Gives missing nodes to who has room (leaves) for them, which is counted down.
  void share_out(std::vector<std::int32_t>& room) {
    for (std::size_t level = 0; level + 1 < levels_.size(); ++level) give_to_siblings(level, room);
    place(levels_.size() - 1, 0, room);
  }

  // By leaf.
  const std::vector<std::int32_t>& owners() const { return levels_.front(); }

 private:
  Subtree node(std::size_t level, std::size_t index) const {
    const auto begin = static_cast<std::int64_t>(index) << level;
    return {static_cast<std::int32_t>(begin),
            static_cast<std::int32_t>(std::min<std::int64_t>(begin + (std::int64_t{1} << level), leaves_))};
  }

  void give(std::size_t level, std::size_t index, std::int32_t rank, std::vector<std::int32_t>& room) {
    const Subtree leaves = node(level, index);
    room[static_cast<std::size_t>(rank)] -= leaves.end - leaves.begin;
    std::fill(levels_[0].begin() + leaves.begin, levels_[0].begin() + leaves.end, rank);
    levels_[level][index] = rank;
  }

  // Whether the missing node was given to `rank`, the owner of its sibling.
  bool give_to(std::size_t level, std::size_t index, std::int32_t rank, std::vector<std::int32_t>& room) {
    const Subtree leaves = node(level, index);
    if (rank < 0 || room[static_cast<std::size_t>(rank)] < leaves.end - leaves.begin) return false;
    give(level, index, rank, room);
    return true;
  }

  void give_to_siblings(std::size_t level, std::vector<std::int32_t>& room) {
    std::vector<std::int32_t>& owner = levels_[level];
    for (std::size_t left = 0; left < owner.size(); left += 2) {
      const std::size_t right = left + 1;
      std::int32_t& above = levels_[level + 1][left / 2];
      if (right == owner.size()) {
        above = owner[left];
        continue;
      }
      if (owner[left] == kMissing) give_to(level, left, owner[right], room);
      if (owner[right] == kMissing) give_to(level, right, owner[left], room);
      above = owner[left] == owner[right] ? owner[left] : kMixed;
    }
  }

  // Missing nodes, the largest first, go where they fit best: to who had the one before, or has least room to spare.
  void place(std::size_t level, std::size_t index, std::vector<std::int32_t>& room) {
    const std::int32_t owner = levels_[level][index];
    if (owner >= 0) return;
    if (owner == kMissing) {
      const Subtree leaves = node(level, index);
      const std::int32_t rank = best_fit(leaves.end - leaves.begin, room);
      if (rank >= 0) {
        give(level, index, rank, room);
        recent_ = rank;
        return;
      }
    }
    const std::size_t left = 2 * index;
    place(level - 1, left, room);
    if (left + 1 < levels_[level - 1].size()) place(level - 1, left + 1, room);
  }

  std::int32_t best_fit(std::int32_t leaves, const std::vector<std::int32_t>& room) const {
    if (recent_ >= 0 && room[static_cast<std::size_t>(recent_)] >= leaves) return recent_;
    std::int32_t best = -1;
    for (std::int32_t rank = 0; rank < static_cast<std::int32_t>(room.size()); ++rank) {
      const std::int32_t spare = room[static_cast<std::size_t>(rank)];
      if (spare >= leaves && (best < 0 || spare < room[static_cast<std::size_t>(best)])) best = rank;
    }
    return best;
  }

  std::int32_t leaves_;
  std::int32_t recent_ = -1;
  std::vector<std::vector<std::int32_t>> levels_;  // [level][index]
};

// By leaf: who holds it, where everything held stays that does not overlap what a lower rank holds.
std::vector<std::int32_t> holders(std::int32_t leaves, std::span<const LeafSet> held) {
  std::vector<std::int32_t> holder(static_cast<std::size_t>(leaves), kMissing);
  for (std::size_t rank = 0; rank < held.size(); ++rank) {
    if (held[rank].leaves() != leaves)
      fail(ErrorCode::kInvalidArgument, "rank {} holds a set out of {} leaves, expected {}", rank, held[rank].leaves(),
           leaves);
    for (const Subtree& node : maximal_subtrees(leaves, held[rank].members())) {
      const auto begin = holder.begin() + node.begin;
      const auto end = holder.begin() + node.end;
      if (std::all_of(begin, end, [](std::int32_t owner) { return owner == kMissing; }))
        std::fill(begin, end, static_cast<std::int32_t>(rank));
    }
  }
  return holder;
}

// By rank, the nodes of the leaves of which owner[leaf] is that rank.
std::vector<std::vector<Subtree>> nodes_of(std::span<const std::int32_t> owner, std::size_t world) {
  const auto leaves = static_cast<std::int32_t>(owner.size());
  std::vector<std::vector<Subtree>> nodes(world);
  for (std::int32_t begin = 0; begin < leaves;) {
    const std::int32_t rank = owner[static_cast<std::size_t>(begin)];
    std::int32_t end = begin + 1;
    while (end < leaves && owner[static_cast<std::size_t>(end)] == rank) ++end;
    if (rank >= 0) {
      std::vector<Subtree>& own = nodes[static_cast<std::size_t>(rank)];
      const std::vector<Subtree> more = maximal_subtrees(leaves, begin, end);
      own.insert(own.end(), more.begin(), more.end());
    }
    begin = end;
  }
  return nodes;
}

}  // namespace

LeafSet Assignment::leaves_of(std::int32_t rank) const {
  if (rank < 0 || rank >= world())
    fail(ErrorCode::kInvalidArgument, "no rank {} in an assignment to {}", rank, world());
  LeafSet set(layout.leaves);
  for (const Subtree& node : layout.subtrees[static_cast<std::size_t>(rank)]) set.insert(node);
  return set;
}

Assignment regular_assignment(std::int32_t leaves, std::int32_t world) {
  Assignment assignment{.layout = {.leaves = leaves, .subtrees = {}}};
  for (std::int32_t rank = 0; rank < world; ++rank) {
    const Subtree block = block_of(leaves, rank, world);
    assignment.layout.subtrees.push_back(maximal_subtrees(leaves, block.begin, block.end));
  }
  return assignment;
}

Assignment redone_assignment(std::int32_t leaves, std::span<const LeafSet> held) {
  if (held.empty()) fail(ErrorCode::kInvalidArgument, "{} leaves for no rank", leaves);
  const Assignment regular = regular_assignment(leaves, static_cast<std::int32_t>(held.size()));
  const std::vector<std::int32_t> holder = holders(leaves, held);
  const auto missing = static_cast<std::int32_t>(std::ranges::count(holder, kMissing));
  if (missing == leaves) return regular;

  const std::int32_t most = (missing + regular.world() - 1) / regular.world();
  std::vector<std::int32_t> room(held.size(), most);
  OwnedTree tree(leaves, holder);
  tree.share_out(room);

  std::vector<std::int32_t> computed = tree.owners();
  for (std::size_t leaf = 0; leaf < computed.size(); ++leaf)
    if (holder[leaf] != kMissing) computed[leaf] = kMissing;
  const auto kept_nodes = nodes_of(holder, held.size());
  const auto new_nodes = nodes_of(computed, held.size());
  for (std::size_t rank = 0; rank < held.size(); ++rank)
    if (kept_nodes[rank].size() + new_nodes[rank].size() > static_cast<std::size_t>(most_nodes(leaves))) return regular;
  return {.layout = {.leaves = leaves, .subtrees = nodes_of(tree.owners(), held.size())}};
}

Assignment agree_on_assignment(Communicator& communicator, std::int32_t leaves, std::int64_t step,
                               const LeafSet& held) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const std::size_t bytes = sizeof step + LeafSet::byte_size(leaves);
  std::vector<std::byte> own(bytes);
  std::memcpy(own.data(), &step, sizeof step);
  if (held.leaves() != leaves)
    fail(ErrorCode::kInvalidArgument, "a set out of {} leaves is held, expected {}", held.leaves(), leaves);
  std::ranges::copy(held.bytes(), own.begin() + sizeof step);
  std::vector<std::byte> all(ranks * bytes);
  std::vector<std::span<std::byte>> receive;
  for (std::size_t rank = 0; rank < ranks; ++rank) receive.emplace_back(all.data() + rank * bytes, bytes);
  communicator.all_gather_v(own, receive);

  std::vector<std::int64_t> steps(ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) std::memcpy(&steps[rank], receive[rank].data(), sizeof step);
  const std::int64_t latest = *std::ranges::max_element(steps);
  std::vector<LeafSet> sets;
  for (std::size_t rank = 0; rank < ranks; ++rank)
    sets.push_back(steps[rank] == latest ? LeafSet(leaves, receive[rank].subspan(sizeof step)) : LeafSet(leaves));
  return redone_assignment(leaves, sets);
}

}  // namespace convoy::distributed
