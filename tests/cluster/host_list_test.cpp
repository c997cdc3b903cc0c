#include "cluster/host_list.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace convoy::cluster {
namespace {

using Hosts = std::vector<std::string>;
using Counts = std::vector<std::int32_t>;

TEST(HostListTest, ExpandsRangesInOrder) {
  EXPECT_EQ(expand_hosts("login"), Hosts{"login"});
  EXPECT_EQ(expand_hosts("h[1-3]"), (Hosts{"h1", "h2", "h3"}));
  EXPECT_EQ(expand_hosts("n[8-11]x"), (Hosts{"n8x", "n9x", "n10x", "n11x"}));
  EXPECT_EQ(expand_hosts("a-1,b-2"), (Hosts{"a-1", "b-2"}));
  EXPECT_EQ(expand_hosts("rack[0-1]n[01-03,7],login"), (Hosts{"rack0n01", "rack0n02", "rack0n03", "rack0n7", "rack1n01",
                                                              "rack1n02", "rack1n03", "rack1n7", "login"}));
}

TEST(HostListTest, RefusesWhatIsNone) {
  for (const char* list : {"", "a,,b", "h[", "h]1", "h[1", "h[]", "h[2-1]", "h[a-b]", "h[1-2", "h[[1]]", "h[-1]",
                           "h[1-2000000]", "h[0-9999]x[0-9999]"}) {
    EXPECT_THROW(expand_hosts(list), Error) << list;
  }
}

TEST(CountListTest, ExpandsRepetitions) {
  EXPECT_EQ(expand_counts("4"), Counts{4});
  EXPECT_EQ(expand_counts("5,1(x3)"), (Counts{5, 1, 1, 1}));
  EXPECT_EQ(expand_counts("2(x2),3"), (Counts{2, 2, 3}));
}

TEST(CountListTest, RefusesWhatIsNone) {
  for (const char* list : {"", "x3", "1(x)", "1(x0)", "1(3)", "-1", "1,", "99999999999", "1(x2000000)"})
    EXPECT_THROW(expand_counts(list), Error) << list;
}

}  // namespace
}  // namespace convoy::cluster
