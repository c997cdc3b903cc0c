#include "scheduler/reachable.h"

#include <gtest/gtest.h>

namespace convoy::scheduler {
namespace {

using Set = std::vector<std::size_t>;
using Links = std::vector<std::pair<std::size_t, std::size_t>>;

Set largest(std::size_t count, const Links& broken, const Set& needed = {}) {
  std::vector<bool> flags(count);
  for (const std::size_t worker : needed) flags[worker] = true;
  return largest_mutually_reachable(count, broken, flags);
}

// Every link between the workers below `cut` and the rest.
Links partition(std::size_t count, std::size_t cut) {
  Links broken;
  for (std::size_t a = 0; a < cut; ++a) {
    for (std::size_t b = cut; b < count; ++b) broken.emplace_back(b, a);
  }
  return broken;
}

TEST(ReachableTest, KeepsAllWhoReachEachOther) { EXPECT_EQ(largest(3, {}), (Set{0, 1, 2})); }

TEST(ReachableTest, KeepsTheLargerSide) {
  EXPECT_EQ(largest(5, partition(5, 2)), (Set{2, 3, 4}));
  EXPECT_EQ(largest(5, partition(5, 3)), (Set{0, 1, 2}));
}

TEST(ReachableTest, ATieGoesToTheLowest) {
  EXPECT_EQ(largest(2, {{0, 1}}), (Set{0}));
  EXPECT_EQ(largest(4, partition(4, 2)), (Set{0, 1}));
  EXPECT_EQ(largest(4, {{0, 1}, {1, 2}, {2, 3}}), (Set{0, 2}));  // 0 2, 0 3 and 1 3 are as large
}

TEST(ReachableTest, OneBrokenLinkCostsOneWorker) { EXPECT_EQ(largest(4, {{2, 1}}), (Set{0, 1, 3})); }

TEST(ReachableTest, HasOneThatIsNeeded) {
  EXPECT_EQ(largest(5, partition(5, 2), {1}), (Set{0, 1}));
  EXPECT_EQ(largest(5, partition(5, 2), {1, 4}), (Set{2, 3, 4}));
  EXPECT_EQ(largest(3, {{0, 1}}, {2}), (Set{0, 2}));
}

TEST(ReachableTest, ManyBrokenLinksKeepTheLargerSideToo) {
  const Set kept = largest(64, partition(64, 30));
  ASSERT_EQ(kept.size(), 34U);
  EXPECT_EQ(kept.front(), 30U);
  EXPECT_EQ(largest(64, partition(64, 30), {3}).size(), 30U);
}

}  // namespace
}  // namespace convoy::scheduler
