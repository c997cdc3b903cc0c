#include "distributed/contributions.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

// Leaves as ranks give them; a leaf may be given by several, as no sound reduction would.
using Gifts = std::vector<LeafSet>;

Gifts gifts(std::int32_t leaves, std::int32_t world, const std::function<std::int32_t(std::int32_t)>& rank_of) {
  Gifts gifts(static_cast<std::size_t>(world), LeafSet(leaves));
  for (std::int32_t leaf = 0; leaf < leaves; ++leaf) gifts[static_cast<std::size_t>(rank_of(leaf))].insert(leaf);
  return gifts;
}

std::vector<double> total_of(const ContributionCode& code, const Gifts& gifts) {
  std::vector<double> total(code.width());
  std::vector<double> row(code.width());
  for (std::size_t rank = 0; rank < gifts.size(); ++rank) {
    code.encode(gifts[rank], static_cast<std::int32_t>(rank), row);
    for (std::size_t i = 0; i < row.size(); ++i) total[i] += row[i];
  }
  return total;
}

// What is said of a sum of these; empty: each leaf was given once.
std::string wrong(std::int32_t leaves, const Gifts& gifts) {
  const ContributionCode code(leaves, static_cast<std::int32_t>(gifts.size()));
  std::vector<std::int32_t> ranks(static_cast<std::size_t>(leaves));
  try {
    code.decode(total_of(code, gifts), 7, ranks);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    return error.what();
  }
}

TEST(ContributionCodeTest, TellsWhoGaveWhat) {
  std::mt19937 random(3);
  for (const std::int32_t leaves : {1, 2, 8, 51, 52, 53, 104, 1000, 1024}) {
    for (const std::int32_t world : {1, 2, 3, 4, 5, 64, 257}) {
      if (world > leaves) continue;
      std::vector<std::int32_t> expected(static_cast<std::size_t>(leaves));
      for (std::int32_t& rank : expected) rank = static_cast<std::int32_t>(random() % static_cast<unsigned>(world));
      const ContributionCode code(leaves, world);
      const Gifts given =
          gifts(leaves, world, [&](std::int32_t leaf) { return expected[static_cast<std::size_t>(leaf)]; });
      std::vector<std::int32_t> found(static_cast<std::size_t>(leaves), -1);
      code.decode(total_of(code, given), 7, found);
      EXPECT_EQ(found, expected) << leaves << " leaves, " << world << " ranks";
    }
  }
}

TEST(ContributionCodeTest, IsSmall) {
  EXPECT_EQ(ContributionCode(8, 1).width(), 2U);
  EXPECT_EQ(ContributionCode(8, 4).width(), 3U);
  EXPECT_EQ(ContributionCode(1024, 4).width(), 61U);
}

TEST(ContributionCodeTest, NoLeafIsLeftOutUnseen) {
  for (const std::int32_t leaves : {1, 8, 52, 60}) {
    for (std::int32_t missing = 0; missing < leaves; ++missing) {
      Gifts given = gifts(leaves, 2, [](std::int32_t leaf) { return leaf % 2; });
      for (LeafSet& set : given) {
        LeafSet without(leaves);
        set.visit([&](std::int32_t leaf) {
          if (leaf != missing) without.insert(leaf);
        });
        set = without;
      }
      EXPECT_EQ(wrong(leaves, given), "step 7: shard " + std::to_string(missing) +
                                          ", or one before it, was left out of the sum or added twice");
    }
  }
}

// Every way to give three leaves up to three times each: digits that carry into the next leaf's look like that one.
TEST(ContributionCodeTest, NoLeafIsAddedTwiceUnseen) {
  for (int times = 0; times < 64; ++times) {
    Gifts given(3, LeafSet(3));
    for (std::int32_t leaf = 0; leaf < 3; ++leaf)
      for (std::int32_t rank = 0; rank < (times >> (2 * leaf)) % 4; ++rank)
        given[static_cast<std::size_t>(rank)].insert(leaf);
    const bool once = times == 0b010101;
    EXPECT_EQ(wrong(3, given).empty(), once) << times;
  }
  for (const std::int32_t leaves : {8, 52, 104, 105}) {
    for (std::int32_t twice = 0; twice < leaves; ++twice) {
      Gifts given = gifts(leaves, 3, [](std::int32_t leaf) { return leaf % 2; });
      given[2].insert(twice);
      EXPECT_TRUE(wrong(leaves, given).starts_with("step 7: ")) << leaves << " leaves, " << twice << " twice";
      given = gifts(leaves, 3, [](std::int32_t leaf) { return leaf % 2; });
      given[2] = given[0];
      EXPECT_NE(wrong(leaves, given), "");
    }
  }
}

// So many times that the numbers are not exact any more.
TEST(ContributionCodeTest, EverythingAddedManyTimesIsSeen) {
  const Gifts all = gifts(52, 1, [](std::int32_t) { return 0; });
  for (const std::size_t times : {2U, 3U, 100U}) EXPECT_NE(wrong(52, Gifts(times, all[0])), "") << times;
}

}  // namespace
}  // namespace convoy::distributed
