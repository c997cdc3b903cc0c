#include "distributed/partial_sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

// Sums are written as text, so that equal text means the same additions in the same order.
std::string defined_sum(std::int32_t begin, std::int32_t end) {
  if (end - begin == 1) return std::to_string(begin);
  std::int32_t left = 1;
  while (left * 2 < end - begin) left *= 2;
  return "(" + defined_sum(begin, begin + left) + "+" + defined_sum(begin + left, end) + ")";
}

TEST(PartialSumsTest, AnyOrderOfLeavesFollowsTheTree) {
  std::mt19937 random(3);
  for (std::int32_t leaves = 1; leaves <= 33; ++leaves) {
    std::vector<std::int32_t> order;
    for (std::int32_t leaf = 0; leaf < leaves; ++leaf) order.push_back(leaf);
    for (int round = 0; round < 10; ++round) {
      PartialSums sums(leaves, (leaves + 1) / 2);
      std::vector<std::string> slots(static_cast<std::size_t>(leaves + 1) / 2);
      PartialSums::Step step;
      std::vector<std::int32_t> held;
      for (const std::int32_t leaf : order) {
        sums.plan(leaf, step);
        std::string sum = std::to_string(leaf);
        for (const PartialSums::Merge& merge : step.merges) {
          const std::string& other = slots[static_cast<std::size_t>(merge.slot)];
          sum = merge.held_is_left ? "(" + other + "+" + sum + ")" : "(" + sum + "+" + other + ")";
        }
        sums.add(step);
        slots[static_cast<std::size_t>(step.store)] = sum;
        held.insert(std::ranges::upper_bound(held, leaf), leaf);

        std::vector<Subtree> nodes;
        std::set<std::int32_t> used;
        for (const PartialSums::Node& node : sums.nodes()) {
          nodes.push_back(node.leaves);
          EXPECT_TRUE(used.insert(node.slot).second) << "two sums in a slot";
          EXPECT_EQ(slots[static_cast<std::size_t>(node.slot)], defined_sum(node.leaves.begin, node.leaves.end));
        }
        ASSERT_EQ(nodes, maximal_subtrees(leaves, held));
      }
      EXPECT_EQ(sums.nodes()[0].slot, 0) << "the whole has a place of its own";
      std::ranges::shuffle(order, random);
    }
  }
}

TEST(PartialSumsTest, SlotZeroIsGivenUpAndTaken) {
  PartialSums sums(4, 3);
  PartialSums::Step step;
  const auto add = [&](std::int32_t leaf) {
    sums.plan(leaf, step);
    sums.add(step);
  };
  add(0);
  add(2);
  EXPECT_EQ(sums.nodes()[0].slot, 0);
  PartialSums::Move move = sums.use_slot_zero(PartialSums::SlotZero::kReserved);
  EXPECT_EQ(move.from, 0);
  EXPECT_EQ(move.to, 2);
  add(1);
  add(3);
  EXPECT_NE(sums.nodes()[0].slot, 0);
  move = sums.use_slot_zero(PartialSums::SlotZero::kOfTheWhole);
  EXPECT_TRUE(move.needed());
  EXPECT_EQ(move.to, 0);
  EXPECT_FALSE(sums.use_slot_zero(PartialSums::SlotZero::kOfTheWhole).needed());
}

TEST(PartialSumsTest, RefusesWhatItHoldsAndWhatItHasNoRoomFor) {
  PartialSums sums(6, 2);
  PartialSums::Step step;
  for (const std::int32_t leaf : {0, 2}) {
    sums.plan(leaf, step);
    sums.add(step);
  }
  EXPECT_THROW(sums.plan(2, step), Error);
  EXPECT_THROW(sums.plan(6, step), Error);
  EXPECT_THROW(sums.plan(4, step), Error) << "a third slot";
  EXPECT_NO_THROW(sums.plan(3, step));
}

}  // namespace
}  // namespace convoy::distributed
