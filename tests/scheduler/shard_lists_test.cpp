#include "scheduler/shard_lists.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace convoy::scheduler {
namespace {

using Ranks = std::vector<std::int32_t>;
using Lists = std::vector<std::string>;

TEST(ShardListsTest, AreShortWhereShardsFollowEachOther) {
  EXPECT_EQ(shard_lists(Ranks{0, 0, 0, 1, 1, 2}, 3), (Lists{"0-2", "3-4", "5"}));
  EXPECT_EQ(shard_lists(Ranks{0, 2, 0, 0, 2, 0}, 4), (Lists{"0,2-3,5", "", "1,4", ""}));
  EXPECT_EQ(shard_lists(Ranks(1024, 0), 1), Lists{"0-1023"});
  EXPECT_EQ(shard_lists({}, 2), (Lists{"", ""}));
}

TEST(ShardListsTest, ReadBackToTheSame) {
  EXPECT_EQ(read_shard_list("0,2-3,5", 6), (Ranks{0, 2, 3, 5}));
  EXPECT_EQ(read_shard_list("", 6), Ranks{});
  EXPECT_EQ(read_shard_list("3,3", 6), (Ranks{3, 3})) << "what stands there";
}

TEST(ShardListsTest, RefuseWhatIsNone) {
  for (const char* list : {"6", "-1", "0-", "-", ",", "0,", ",0", "0-6", "3-2", "a", "0 1", "0-1-2", "99999999999"})
    EXPECT_THROW((void)read_shard_list(list, 6), Error) << list;
}

}  // namespace
}  // namespace convoy::scheduler
