#include "core/base/tree.h"

#include <algorithm>
#include <bit>

#include "core/base/error.h"

namespace convoy {
namespace {

// Where the children of node [begin, end) meet.
std::int32_t split_of(std::int32_t begin, std::int32_t end) {
  return begin + static_cast<std::int32_t>(std::bit_floor(static_cast<std::uint32_t>(end - begin - 1)));
}

// Whether [begin, end) is a node of the tree over n leaves.
bool is_node(std::int32_t n, std::int32_t begin, std::int32_t end) {
  const auto size = static_cast<std::uint32_t>(end - begin);
  const std::uint32_t full = std::bit_ceil(size);
  return static_cast<std::uint32_t>(begin) % full == 0 && (size == full || end == n);
}

void check_range(std::int32_t n, std::int32_t begin, std::int32_t end) {
  if (begin < 0 || begin > end || end > n)
    fail(ErrorCode::kInvalidArgument, "leaves [{}, {}) do not lie in a tree over {} leaves", begin, end, n);
}

// Sums operands [first, last), which must cover node [begin, end), into operands[first].
void add_node(std::span<const Subtree> operands, std::int32_t first, std::int32_t last, std::int32_t begin,
              std::int32_t end, std::vector<TreeAdd>& additions) {
  const auto at = [&](std::int32_t i) { return operands[static_cast<std::size_t>(i)]; };
  if (last - first == 1 && at(first) == Subtree{begin, end}) return;
  if (last - first >= 2) {
    const std::int32_t split = split_of(begin, end);
    std::int32_t middle = first + 1;
    while (middle < last && at(middle).begin < split) ++middle;
    if (middle < last && at(middle).begin == split) {
      add_node(operands, first, middle, begin, split, additions);
      add_node(operands, middle, last, split, end, additions);
      additions.push_back({first, middle});
      return;
    }
  }
  fail(ErrorCode::kInvalidArgument, "the operands of a tree sum are not nodes that cover leaves [{}, {}) once each",
       begin, end);
}

}  // namespace

std::vector<Subtree> maximal_subtrees(std::int32_t n, std::int32_t begin, std::int32_t end) {
  check_range(n, begin, end);
  std::vector<Subtree> subtrees;
  while (begin < end) {
    std::int64_t size = 1;
    while (begin % (2 * size) == 0 && std::min<std::int64_t>(begin + 2 * size, n) <= end && begin + size < end)
      size *= 2;
    const auto next = static_cast<std::int32_t>(std::min<std::int64_t>(begin + size, n));
    subtrees.push_back({begin, next});
    begin = next;
  }
  return subtrees;
}

// A node is contiguous, so each run of leaves has its own.
std::vector<Subtree> maximal_subtrees(std::int32_t n, std::span<const std::int32_t> leaves) {
  std::vector<Subtree> subtrees;
  for (std::size_t first = 0; first < leaves.size();) {
    std::size_t last = first + 1;
    while (last < leaves.size() && leaves[last] == leaves[last - 1] + 1) ++last;
    if (last < leaves.size() && leaves[last] <= leaves[last - 1])
      fail(ErrorCode::kInvalidArgument, "leaf {} after leaf {}: expected ascending leaves", leaves[last],
           leaves[last - 1]);
    const std::vector<Subtree> run = maximal_subtrees(n, leaves[first], leaves[last - 1] + 1);
    subtrees.insert(subtrees.end(), run.begin(), run.end());
    first = last;
  }
  return subtrees;
}

Subtree block_of(std::int32_t n, std::int32_t rank, std::int32_t world) {
  if (n < 0 || world < 1 || rank < 0 || rank >= world)
    fail(ErrorCode::kInvalidArgument, "no block of {} leaves for rank {} of {}", n, rank, world);
  const std::int32_t small = n / world;
  const std::int32_t larger_blocks = n % world;
  const std::int32_t begin = rank * small + std::min(rank, larger_blocks);
  return {begin, begin + small + (rank < larger_blocks ? 1 : 0)};
}

std::vector<TreeAdd> tree_additions(std::int32_t n, std::span<const Subtree> operands) {
  std::vector<TreeAdd> additions;
  if (n == 0 && operands.empty()) return additions;
  add_node(operands, 0, static_cast<std::int32_t>(operands.size()), 0, n, additions);
  return additions;
}

BlockSchedule block_schedule(std::int32_t n, Subtree block) {
  check_range(n, block.begin, block.end);
  BlockSchedule schedule;
  std::vector<std::int32_t> free;  // released slots, the last released on top
  for (std::int32_t leaf = block.begin; leaf < block.end; ++leaf) {
    LeafStep step;
    Subtree sum{leaf, leaf + 1};
    while (!schedule.subtrees.empty() && is_node(n, schedule.subtrees.back().begin, sum.end)) {
      sum.begin = schedule.subtrees.back().begin;
      step.merge.push_back(schedule.subtree_slot.back());
      schedule.subtrees.pop_back();
      schedule.subtree_slot.pop_back();
    }
    if (!step.merge.empty()) {
      step.store = step.merge.back();
      free.insert(free.end(), step.merge.rbegin() + 1, step.merge.rend());
    } else if (!free.empty()) {
      step.store = free.back();
      free.pop_back();
    } else {
      step.store = schedule.slots++;
    }
    schedule.subtrees.push_back(sum);
    schedule.subtree_slot.push_back(step.store);
    schedule.leaves.push_back(std::move(step));
  }
  return schedule;
}

double tree_sum(std::span<double> values) {
  if (values.empty()) return 0.0;
  for (std::size_t step = 1; step < values.size(); step *= 2)
    for (std::size_t i = 0; i + step < values.size(); i += 2 * step) values[i] += values[i + step];
  return values[0];
}

}  // namespace convoy
