#include "core/data/sample_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace convoy {
namespace {

std::vector<std::int64_t> epoch_order(const SampleOrder& order, std::int64_t epoch) {
  std::vector<std::int64_t> samples;
  for (std::int64_t i = 0; i < order.size(); ++i) samples.push_back(order.at(epoch, i));
  return samples;
}

class SampleOrderSizeTest : public testing::TestWithParam<std::int64_t> {};

TEST_P(SampleOrderSizeTest, EveryEpochVisitsEverySampleOnce) {
  const SampleOrder order(42, GetParam());
  for (const std::int64_t epoch : {std::int64_t{0}, std::int64_t{1}, std::int64_t{2}, std::int64_t{1} << 40}) {
    std::vector<std::int64_t> samples = epoch_order(order, epoch);
    std::sort(samples.begin(), samples.end());
    for (std::int64_t i = 0; i < GetParam(); ++i) ASSERT_EQ(samples[static_cast<std::size_t>(i)], i) << epoch;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, SampleOrderSizeTest, testing::Values(1, 2, 3, 4, 5, 7, 16, 17, 1000, 4096, 4097));

TEST(SampleOrderTest, EpochsAndSeedsDiffer) {
  const SampleOrder a(1, 1000);
  const SampleOrder b(2, 1000);
  EXPECT_EQ(epoch_order(a, 3), epoch_order(SampleOrder(1, 1000), 3));
  EXPECT_NE(epoch_order(a, 0), epoch_order(a, 1));
  EXPECT_NE(epoch_order(a, 0), epoch_order(b, 0));
  EXPECT_NE(epoch_order(a, 1), epoch_order(a, std::int64_t{1} + (std::int64_t{1} << 32)));
}

// Position and sample are uncorrelated, and two epochs agree on about one sample of n.
TEST(SampleOrderTest, LooksShuffled) {
  constexpr std::int64_t kSamples = 10'000;
  const SampleOrder order(7, kSamples);
  const std::vector<std::int64_t> first = epoch_order(order, 0);
  const std::vector<std::int64_t> second = epoch_order(order, 1);
  double product = 0;
  int agreements = 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    product += (static_cast<double>(i) - kSamples / 2.0) * (static_cast<double>(first[i]) - kSamples / 2.0);
    agreements += first[i] == second[i];
  }
  const double correlation = product / (std::pow(kSamples, 3) / 12);
  EXPECT_LT(std::abs(correlation), 0.05);
  EXPECT_LT(agreements, 10);
}

// The order is part of what a recipe means: were it to change, old runs could not be repeated.
TEST(SampleOrderTest, IsTheSameForever) {
  const SampleOrder order(1, 10);
  EXPECT_EQ(epoch_order(order, 0), (std::vector<std::int64_t>{8, 5, 0, 2, 1, 6, 4, 9, 7, 3}));
}

TEST(SampleOrderTest, GlobalIndicesRunThroughTheEpochs) {
  const SampleOrder order(5, 7);
  EXPECT_EQ(order.sample(6), (SampleId{order.at(0, 6), 0}));
  EXPECT_EQ(order.sample(7), (SampleId{order.at(1, 0), 1}));
  EXPECT_EQ(order.sample(7 * 100 + 3), (SampleId{order.at(100, 3), 100}));
}

TEST(SampleOrderTest, HugeDataSetsStayInRange) {
  constexpr std::int64_t kSamples = (std::int64_t{1} << 61) + 12345;
  const SampleOrder order(5, kSamples);
  for (const std::int64_t index : {std::int64_t{0}, std::int64_t{1}, kSamples - 1}) {
    EXPECT_GE(order.at(0, index), 0);
    EXPECT_LT(order.at(0, index), kSamples);
  }
}

TEST(SampleOrderTest, ShardsAreSlicesOfTheGlobalBatch) {
  const SampleOrder order(9, 100);
  std::vector<SampleId> batch;
  for (std::int64_t shard = 0; shard < 4; ++shard) {
    for (const SampleId sample : shard_samples(order, 3, 12, 4, shard)) batch.push_back(sample);
  }
  ASSERT_EQ(batch.size(), 12u);
  for (std::int64_t i = 0; i < 12; ++i) EXPECT_EQ(batch[static_cast<std::size_t>(i)], order.sample(3 * 12 + i));
}

TEST(SampleOrderTest, WrongNumbersAreRefused) {
  EXPECT_THROW(SampleOrder(1, 0), Error);
  const SampleOrder order(1, 10);
  EXPECT_THROW(order.at(0, 10), Error);
  EXPECT_THROW(order.at(0, -1), Error);
  EXPECT_THROW(order.at(-1, 0), Error);
}

}  // namespace
}  // namespace convoy
