#include "distributed/leaf_set.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

TEST(LeafSetTest, TravelsAsBytes) {
  for (const std::int32_t leaves : {1, 7, 8, 9, 64, 65536}) {
    LeafSet set(leaves);
    EXPECT_TRUE(set.empty());
    set.insert(0);
    set.insert(Subtree{leaves - 1, leaves});
    EXPECT_EQ(set.bytes().size(), LeafSet::byte_size(leaves));
    const LeafSet copy(leaves, set.bytes());
    EXPECT_EQ(copy, set);
    EXPECT_TRUE(copy.contains(leaves - 1));
    EXPECT_EQ(copy.count(), leaves == 1 ? 1 : 2);
  }
  LeafSet set(20);
  set.insert(Subtree{6, 10});
  EXPECT_EQ(set.members(), (std::vector<std::int32_t>{6, 7, 8, 9}));
}

TEST(LeafSetTest, RefusesLeavesThatThereAreNot) {
  LeafSet set(5);
  EXPECT_THROW(set.insert(5), Error);
  EXPECT_THROW(set.insert(-1), Error);
  EXPECT_THROW(set.contains(5), Error);
  EXPECT_THROW(LeafSet(kMostLeaves + 1), Error);
  const std::vector<std::byte> beyond{std::byte{0x20}};
  EXPECT_THROW(LeafSet(5, beyond), Error);
  EXPECT_THROW(LeafSet(9, beyond), Error) << "a byte is missing";
}

TEST(LeafSetTest, JoinsOtherSetsAndSeesWhatTheyShare) {
  LeafSet low(20);
  low.insert(Subtree{0, 9});
  LeafSet high(20);
  high.insert(Subtree{9, 20});
  EXPECT_FALSE(low.overlaps(high));
  LeafSet one(20);
  one.insert(9);
  EXPECT_TRUE(high.overlaps(one));
  EXPECT_FALSE(low.overlaps(one));
  low.insert(high);
  EXPECT_TRUE(low.is({0, 20}));
  EXPECT_FALSE(low.is({0, 19}));
  EXPECT_FALSE(one.is({8, 9}));
  EXPECT_TRUE(one.is({9, 10}));
  low.clear();
  EXPECT_TRUE(low.empty());
  EXPECT_THROW(low.insert(LeafSet(19)), Error);
  EXPECT_THROW(low.overlaps(LeafSet(21)), Error);
}

}  // namespace
}  // namespace convoy::distributed
