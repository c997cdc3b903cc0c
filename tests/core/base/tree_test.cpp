#include "core/base/tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "core/base/error.h"

namespace convoy {
namespace {

constexpr std::int32_t kMostLeaves = 33;

// The definition: a range of n leaves splits at the largest power of two below n. Sums are written as text, so that
// equal text means the same additions in the same order.
std::string defined_sum(std::int32_t begin, std::int32_t end) {
  if (end - begin == 1) return std::to_string(begin);
  std::int32_t left = 1;
  while (left * 2 < end - begin) left *= 2;
  return "(" + defined_sum(begin, begin + left) + "+" + defined_sum(begin + left, end) + ")";
}

std::string add(const std::string& left, const std::string& right) { return "(" + left + "+" + right + ")"; }

std::string sum_along(std::int32_t n, const std::vector<Subtree>& operands, std::vector<std::string> values) {
  for (const TreeAdd& addition : tree_additions(n, operands)) {
    auto& left = values[static_cast<std::size_t>(addition.left)];
    auto& right = values[static_cast<std::size_t>(addition.right)];
    left = add(left, right);
    right = "used";
  }
  return values[0];
}

// Runs a schedule as a worker would; slots that a merge releases are marked, so that reading one again shows.
std::vector<std::string> run_schedule(const BlockSchedule& schedule, std::int32_t first_leaf) {
  std::vector<std::string> slots(static_cast<std::size_t>(schedule.slots), "empty");
  for (std::size_t i = 0; i < schedule.leaves.size(); ++i) {
    std::string sum = std::to_string(first_leaf + static_cast<std::int32_t>(i));
    for (const std::int32_t slot : schedule.leaves[i].merge) {
      sum = add(slots[static_cast<std::size_t>(slot)], sum);
      slots[static_cast<std::size_t>(slot)] = "released";
    }
    slots[static_cast<std::size_t>(schedule.leaves[i].store)] = sum;
  }
  std::vector<std::string> sums;
  for (const std::int32_t slot : schedule.subtree_slot) sums.push_back(slots[static_cast<std::size_t>(slot)]);
  return sums;
}

TEST(TreeTest, EveryDivisionOfTheLeavesGivesTheDefinedSum) {
  for (std::int32_t n = 1; n <= kMostLeaves; ++n) {
    const std::string expected = defined_sum(0, n);
    for (std::int32_t world = 1; world <= n; ++world) {
      std::vector<Subtree> operands;
      std::vector<std::string> values;
      for (std::int32_t rank = 0; rank < world; ++rank) {
        const Subtree block = block_of(n, rank, world);
        const BlockSchedule schedule = block_schedule(n, block);
        EXPECT_EQ(schedule.subtrees, maximal_subtrees(n, block.begin, block.end));
        const std::vector<std::string> sums = run_schedule(schedule, block.begin);
        for (std::size_t i = 0; i < sums.size(); ++i) {
          EXPECT_EQ(sums[i], defined_sum(schedule.subtrees[i].begin, schedule.subtrees[i].end));
          operands.push_back(schedule.subtrees[i]);
          values.push_back(sums[i]);
        }
      }
      ASSERT_EQ(sum_along(n, operands, values), expected) << n << " leaves, " << world << " workers";
    }
  }
}

TEST(TreeTest, AnyBlockNeedsFewBuffers) {
  for (std::int32_t n = 1; n <= kMostLeaves; ++n) {
    for (std::int32_t begin = 0; begin < n; ++begin) {
      for (std::int32_t end = begin + 1; end <= n; ++end) {
        const BlockSchedule schedule = block_schedule(n, {begin, end});
        const auto depth = static_cast<std::int32_t>(std::bit_width(static_cast<std::uint32_t>(end - begin - 1)));
        EXPECT_LE(schedule.slots, std::max(1, depth) + static_cast<std::int32_t>(schedule.subtrees.size()) - 1)
            << n << " leaves, block [" << begin << ", " << end << ")";
      }
    }
  }
}

TEST(TreeTest, MaximalSubtreesAreTheFewestNodes) {
  const auto covers_node = [](std::int32_t n, std::int32_t begin, std::int32_t end) {
    for (std::int32_t size = 1;; size *= 2) {
      if (begin % size == 0 && std::min(begin + size, n) == end) return true;
      if (size >= n) return false;
    }
  };
  for (std::int32_t n = 1; n <= kMostLeaves; ++n) {
    for (std::int32_t begin = 0; begin < n; ++begin) {
      for (std::int32_t end = begin + 1; end <= n; ++end) {
        const std::vector<Subtree> subtrees = maximal_subtrees(n, begin, end);
        std::int32_t at = begin;
        for (const Subtree& subtree : subtrees) {
          EXPECT_EQ(subtree.begin, at);
          EXPECT_TRUE(covers_node(n, subtree.begin, subtree.end));
          at = subtree.end;
        }
        EXPECT_EQ(at, end);
        // Fewest nodes that cover [begin, e), by dynamic programming over e.
        std::vector<int> fewest(static_cast<std::size_t>(end) + 1, 1 << 20);
        fewest[static_cast<std::size_t>(begin)] = 0;
        for (std::int32_t to = begin + 1; to <= end; ++to)
          for (std::int32_t from = begin; from < to; ++from)
            if (covers_node(n, from, to))
              fewest[static_cast<std::size_t>(to)] =
                  std::min(fewest[static_cast<std::size_t>(to)], fewest[static_cast<std::size_t>(from)] + 1);
        EXPECT_EQ(static_cast<int>(subtrees.size()), fewest[static_cast<std::size_t>(end)]);
      }
    }
  }
}

// By the definition: every node of the tree that lies in the set and whose parent does not.
void defined_maximal(const std::vector<bool>& in_set, std::int32_t begin, std::int32_t end,
                     std::vector<Subtree>& nodes) {
  const auto first = in_set.begin() + begin;
  if (std::find(first, in_set.begin() + end, false) == in_set.begin() + end) {
    nodes.push_back({begin, end});
  } else if (end - begin > 1) {
    std::int32_t half = 1;
    while (half * 2 < end - begin) half *= 2;
    defined_maximal(in_set, begin, begin + half, nodes);
    defined_maximal(in_set, begin + half, end, nodes);
  }
}

TEST(TreeTest, AnySetOfLeavesHasItsMaximalNodes) {
  for (std::int32_t n = 1; n <= 13; ++n) {
    for (std::uint32_t bits = 0; bits < (1U << n); ++bits) {
      std::vector<bool> in_set;
      std::vector<std::int32_t> leaves;
      for (std::int32_t leaf = 0; leaf < n; ++leaf) {
        in_set.push_back((bits >> leaf & 1) != 0);
        if (in_set.back()) leaves.push_back(leaf);
      }
      std::vector<Subtree> expected;
      defined_maximal(in_set, 0, n, expected);
      ASSERT_EQ(maximal_subtrees(n, leaves), expected) << n << " leaves, set " << bits;
    }
  }
  EXPECT_THROW(maximal_subtrees(4, std::vector<std::int32_t>{1, 0}), Error);
  EXPECT_THROW(maximal_subtrees(4, std::vector<std::int32_t>{2, 2}), Error);
  EXPECT_THROW(maximal_subtrees(4, std::vector<std::int32_t>{3, 4}), Error);
}

TEST(TreeTest, BlocksAreContiguousAndBalanced) {
  for (std::int32_t n = 0; n <= kMostLeaves; ++n) {
    for (std::int32_t world = 1; world <= n + 2; ++world) {
      std::int32_t at = 0;
      for (std::int32_t rank = 0; rank < world; ++rank) {
        const Subtree block = block_of(n, rank, world);
        EXPECT_EQ(block.begin, at);
        EXPECT_GE(block.end - block.begin, n / world);
        EXPECT_LE(block.end - block.begin, (n + world - 1) / world);
        at = block.end;
      }
      EXPECT_EQ(at, n);
    }
  }
}

TEST(TreeTest, OneWorkerAddsAPowerOfTwoWithLogarithmicallyManyBuffers) {
  EXPECT_EQ(block_schedule(8, {0, 8}).slots, 3);
  EXPECT_EQ(block_schedule(64, {0, 64}).slots, 6);
  EXPECT_EQ(block_schedule(1, {0, 1}).slots, 1);
  EXPECT_EQ(block_schedule(8, {3, 3}).slots, 0);
}

TEST(TreeTest, TreeSumFollowsTheTree) {
  EXPECT_EQ(tree_sum({}), 0.0);
  for (std::int32_t n = 1; n <= kMostLeaves; ++n) {
    std::vector<double> values;
    std::vector<Subtree> leaves;
    for (std::int32_t i = 0; i < n; ++i) {
      values.push_back(std::ldexp(i % 3 == 0 ? -1.1 : 1.3, (i * 29) % 61));  // the order of adding shows
      leaves.push_back({i, i + 1});
    }
    std::vector<double> expected = values;
    for (const TreeAdd& addition : tree_additions(n, leaves))
      expected[static_cast<std::size_t>(addition.left)] += expected[static_cast<std::size_t>(addition.right)];
    EXPECT_EQ(std::bit_cast<std::uint64_t>(tree_sum(values)), std::bit_cast<std::uint64_t>(expected[0])) << n;
  }
}

TEST(TreeTest, NothingIsAddedToASingleNegativeZero) {
  std::vector<double> values{-0.0};
  EXPECT_TRUE(std::signbit(tree_sum(values)));
}

TEST(TreeTest, OperandsThatAreNotNodesAreRefused) {
  const auto refused = [](std::int32_t n, std::vector<Subtree> operands) {
    try {
      tree_additions(n, operands);
    } catch (const Error& error) {
      return error.code() == ErrorCode::kInvalidArgument;
    }
    return false;
  };
  EXPECT_TRUE(refused(8, {{0, 3}, {3, 8}}));          // cut across a node
  EXPECT_TRUE(refused(4, {{0, 2}}));                  // a hole at the end
  EXPECT_TRUE(refused(4, {{0, 1}, {2, 4}}));          // a hole within
  EXPECT_TRUE(refused(4, {{0, 2}, {1, 2}, {2, 4}}));  // overlapping
  EXPECT_TRUE(refused(4, {{0, 2}, {2, 4}, {4, 5}}));  // beyond the tree
  EXPECT_TRUE(refused(4, {}));
  EXPECT_TRUE(refused(0, {{0, 1}}));
}

}  // namespace
}  // namespace convoy
