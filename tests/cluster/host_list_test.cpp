#include "cluster/host_list.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/support/mutations.h"

namespace convoy::cluster {
namespace {

using Hosts = std::vector<std::string>;
using Counts = std::vector<std::int32_t>;

TEST(HostListTest, ExpandsRangesInOrder) {
  EXPECT_EQ(expand_hosts("login"), Hosts{"login"});
  EXPECT_EQ(expand_hosts("h[1-3]"), (Hosts{"h1", "h2", "h3"}));
  EXPECT_EQ(expand_hosts("n[8-11]x"), (Hosts{"n8x", "n9x", "n10x", "n11x"}));
  EXPECT_EQ(expand_hosts("a-1,b-2"), (Hosts{"a-1", "b-2"}));
  EXPECT_EQ(expand_hosts("n[9223372036854775806-9223372036854775807]"),
            (Hosts{"n9223372036854775806", "n9223372036854775807"}));
  EXPECT_EQ(expand_hosts("rack[0-1]n[01-03,7],login"), (Hosts{"rack0n01", "rack0n02", "rack0n03", "rack0n7", "rack1n01",
                                                              "rack1n02", "rack1n03", "rack1n7", "login"}));
}

TEST(HostListTest, RefusesWhatIsNone) {
  for (const char* list : {"", "a,,b", "h[", "h]1", "h[1", "h[]", "h[2-1]", "h[a-b]", "h[1-2", "h[[1]]", "h[-1]",
                           "h[1-2000000]", "h[0-9999]x[0-9999]", "h[1-999999,1-999999]", "h[0-9223372036854775807]"}) {
    EXPECT_THROW(expand_hosts(list), Error) << list;
  }
  EXPECT_THROW(expand_hosts("h[" + std::string(1000, '0') + "-9]"), Error);
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

TEST(HostListTest, DamagedListsAreRefusedOrLists) {
  testing_support::Mutations mutations({"h[1-3]", "rack[0-1]n[01-03,7],login", "a-1,b-2", "n[8-11]x"});
  for (std::int64_t i = 0; i < testing_support::Mutations::rounds(5'000); ++i) {
    try {
      ASSERT_FALSE(expand_hosts(mutations.next()).empty());
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::kUsage) << error.what();
    }
  }
}

TEST(CountListTest, DamagedListsAreRefusedOrLists) {
  testing_support::Mutations mutations({"4", "5,1(x3)", "2(x2),3"});
  for (std::int64_t i = 0; i < testing_support::Mutations::rounds(5'000); ++i) {
    try {
      ASSERT_FALSE(expand_counts(mutations.next()).empty());
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::kUsage) << error.what();
    }
  }
}

}  // namespace
}  // namespace convoy::cluster
