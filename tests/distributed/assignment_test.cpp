#include "distributed/assignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/base/error.h"
#include "distributed/solo.h"
#include "distributed/tree_reduction.h"

namespace convoy::distributed {
namespace {

LeafSet set_of(std::int32_t leaves, const std::vector<std::int32_t>& members) {
  LeafSet set(leaves);
  for (const std::int32_t leaf : members) set.insert(leaf);
  return set;
}

std::vector<std::int32_t> leaves_of(const Assignment& assignment, std::int32_t rank) {
  return assignment.leaves_of(rank).members();
}

// Each leaf once, in nodes that are as large as can be.
void expect_sound(const Assignment& assignment) {
  std::vector<int> owners(static_cast<std::size_t>(assignment.layout.leaves));
  for (std::int32_t rank = 0; rank < assignment.world(); ++rank) {
    const std::vector<std::int32_t> leaves = leaves_of(assignment, rank);
    for (const std::int32_t leaf : leaves) ++owners[static_cast<std::size_t>(leaf)];
    EXPECT_EQ(assignment.layout.subtrees[static_cast<std::size_t>(rank)],
              maximal_subtrees(assignment.layout.leaves, leaves));
  }
  EXPECT_EQ(owners, std::vector<int>(owners.size(), 1));
  EXPECT_NO_THROW(TreeReduction reduction(assignment.layout));
}

TEST(AssignmentTest, RegularlyEachRankHasABlock) {
  for (std::int32_t leaves = 1; leaves <= 13; ++leaves) {
    for (std::int32_t world = 1; world <= leaves; ++world) {
      const Assignment assignment = regular_assignment(leaves, world);
      expect_sound(assignment);
      for (std::int32_t rank = 0; rank < world; ++rank) {
        LeafSet block(leaves);
        block.insert(block_of(leaves, rank, world));
        EXPECT_EQ(assignment.leaves_of(rank), block);
      }
      EXPECT_EQ(redone_assignment(leaves, std::vector<LeafSet>(static_cast<std::size_t>(world), LeafSet(leaves))),
                assignment)
          << "where nothing is held";
    }
  }
}

// Whatever is held: it stays where it is, and the rest is computed as fast as it can be.
TEST(AssignmentTest, WhatIsHeldStaysAndTheRestIsBalanced) {
  std::mt19937 random(1);
  for (std::int32_t leaves = 1; leaves <= 13; ++leaves) {
    for (std::int32_t world = 1; world <= leaves; ++world) {
      for (int round = 0; round < 20; ++round) {
        std::vector<LeafSet> held(static_cast<std::size_t>(world), LeafSet(leaves));
        std::int32_t missing = 0;
        for (std::int32_t leaf = 0; leaf < leaves; ++leaf) {
          const auto owner = static_cast<std::int32_t>(random() % static_cast<unsigned>(2 * world));
          if (owner < world)
            held[static_cast<std::size_t>(owner)].insert(leaf);
          else
            ++missing;
        }
        const Assignment assignment = redone_assignment(leaves, held);
        expect_sound(assignment);
        if (missing == leaves) continue;
        std::int32_t most = 0;
        for (std::int32_t rank = 0; rank < world; ++rank) {
          const LeafSet leaves_here = assignment.leaves_of(rank);
          const LeafSet& held_here = held[static_cast<std::size_t>(rank)];
          for (const std::int32_t leaf : held_here.members()) EXPECT_TRUE(leaves_here.contains(leaf));
          most = std::max(most, leaves_here.count() - held_here.count());
        }
        EXPECT_EQ(most, (missing + world - 1) / world);
      }
    }
  }
}

TEST(AssignmentTest, MissingLeavesGoWhereTheyCompleteNodes) {
  // Each of four had begun its block of two, and rank 2 of them died.
  const Assignment assignment =
      redone_assignment(8, std::vector<LeafSet>{set_of(8, {0}), set_of(8, {2}), set_of(8, {6})});
  EXPECT_EQ(assignment.layout.subtrees,
            (std::vector<std::vector<Subtree>>{{{0, 2}, {4, 5}}, {{2, 4}, {5, 6}}, {{6, 8}}}));
  // A dead worker's block is shared out in nodes.
  EXPECT_EQ(redone_assignment(8, std::vector<LeafSet>{set_of(8, {0, 1, 2, 3}), LeafSet(8)}).layout.subtrees,
            (std::vector<std::vector<Subtree>>{{{0, 4}, {4, 6}}, {{6, 8}}}));
}

TEST(AssignmentTest, OfTwoSumsThatOverlapTheLowerRanksStays) {
  // Rank 1's sum of all four is of no use any more; what else it holds is.
  const Assignment assignment = redone_assignment(8, std::vector<LeafSet>{set_of(8, {2}), set_of(8, {0, 1, 2, 3, 6})});
  expect_sound(assignment);
  EXPECT_TRUE(assignment.leaves_of(0).contains(2));
  EXPECT_TRUE(assignment.leaves_of(1).contains(6));
  // 0, 1, 3, 4, 5, 7 are missing: three for each.
  EXPECT_EQ(assignment.leaves_of(0).count(), 4);
  EXPECT_EQ(assignment.leaves_of(1).count(), 4);
}

TEST(AssignmentTest, TooManySumsOfOneRankAreNotWorthTheMemory) {
  const std::int32_t leaves = 256;
  LeafSet every_other(leaves);
  for (std::int32_t leaf = 0; leaf < leaves; leaf += 2) every_other.insert(leaf);
  EXPECT_EQ(redone_assignment(leaves, std::vector<LeafSet>{every_other, LeafSet(leaves)}),
            regular_assignment(leaves, 2));
}

TEST(AssignmentTest, NoBlockHasMoreSumsThanARankMayHave) {
  for (std::int32_t leaves = 1; leaves <= 70; ++leaves) {
    for (std::int32_t begin = 0; begin < leaves; ++begin)
      for (std::int32_t end = begin + 1; end <= leaves; ++end)
        ASSERT_LE(maximal_subtrees(leaves, begin, end).size(), static_cast<std::size_t>(most_nodes(leaves)));
  }
}

TEST(AssignmentTest, LargeTreesAreShared) {
  LeafSet held(kMostLeaves);
  held.insert(Subtree{100, 200});
  const Assignment assignment =
      redone_assignment(kMostLeaves, std::vector<LeafSet>{LeafSet(kMostLeaves), held, LeafSet(kMostLeaves)});
  EXPECT_LE(assignment.leaves_of(1).count() - 100, (kMostLeaves - 100 + 2) / 3);
  for (const auto& nodes : assignment.layout.subtrees) EXPECT_LE(nodes.size(), 40U);
}

TEST(AssignmentTest, SetsOfOtherTreesAreRefused) {
  EXPECT_THROW(redone_assignment(8, std::vector<LeafSet>{LeafSet(7)}), Error);
  EXPECT_THROW(redone_assignment(8, std::vector<LeafSet>{}), Error);
  EXPECT_THROW(regular_assignment(8, 2).leaves_of(2), Error);
  SoloCommunicator alone;
  EXPECT_THROW(agree_on_assignment(alone, 8, 1, LeafSet(7)), Error);
}

}  // namespace
}  // namespace convoy::distributed
