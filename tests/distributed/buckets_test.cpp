#include "distributed/buckets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace convoy::distributed {
namespace {

std::vector<ParameterExtent> some_parameters() {
  return {{"b.weight", 3000, 1}, {"b.bias", 10, 0}, {"a.weight", 5000, 1}, {"a.bias", 1024, 0}, {"c.weight", 1, 1}};
}

TEST(BucketLayoutTest, EveryParameterLiesWholeInOneBucketOfItsGroup) {
  for (const std::int64_t bytes : {1, 8192, 16384, 1 << 30}) {
    const BucketLayout layout(some_parameters(), bytes);
    std::vector<std::size_t> seen;
    std::int64_t end = 0;
    for (const Bucket& bucket : layout.buckets()) {
      EXPECT_EQ(bucket.begin, end) << "buckets follow each other without gaps";
      end = bucket.end;
      EXPECT_EQ(bucket.begin % kChunkElements, 0);
      for (const std::size_t parameter : bucket.parameters) {
        seen.push_back(parameter);
        EXPECT_EQ(layout.parameters()[parameter].group, bucket.group);
        EXPECT_EQ(layout.offset(parameter) % kChunkElements, 0);
        EXPECT_EQ(&layout.buckets()[layout.bucket_of(parameter)], &bucket);
        EXPECT_GE(layout.offset(parameter), bucket.begin);
        EXPECT_LE(layout.offset(parameter) + layout.parameters()[parameter].elements, bucket.end);
      }
    }
    EXPECT_EQ(end, layout.elements());
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen, (std::vector<std::size_t>{0, 1, 2, 3, 4}));
  }
}

TEST(BucketLayoutTest, SizeDecidesTheirNumber) {
  EXPECT_EQ(BucketLayout(some_parameters(), 1 << 30).buckets().size(), 2U) << "one a group";
  EXPECT_EQ(BucketLayout(some_parameters(), 1).buckets().size(), 5U) << "one a parameter";
}

TEST(BucketLayoutTest, NamesAreSorted) {
  const BucketLayout layout(some_parameters(), 1 << 30);
  const std::vector<std::size_t> order(layout.by_name().begin(), layout.by_name().end());
  EXPECT_EQ(order, (std::vector<std::size_t>{3, 2, 1, 0, 4}));
}

TEST(BucketLayoutTest, CutsTellLayoutsApart) {
  EXPECT_EQ(BucketLayout(some_parameters(), 1 << 30).cuts(), BucketLayout(some_parameters(), 1 << 30).cuts());
  EXPECT_NE(BucketLayout(some_parameters(), 1 << 30).cuts(), BucketLayout(some_parameters(), 1).cuts());
}

}  // namespace
}  // namespace convoy::distributed
