#include "core/data/sample_use.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace convoy {
namespace {

constexpr std::int64_t kSamples = 37;
constexpr std::int64_t kBatch = 8;
constexpr std::int64_t kShards = 4;

// Steps of a run, with something done to some of them.
SampleUse used(std::int64_t steps, std::int64_t without_step = 0, std::int64_t twice_step = 0) {
  SampleUse use(SampleOrder(7, kSamples), kBatch, kShards);
  for (std::int64_t step = 1; step <= steps; ++step) {
    for (std::int64_t shard = 0; shard < kShards; ++shard) {
      if (step == without_step && shard == 2) continue;
      use.use(step, shard);
      if (step == twice_step && shard == 3) use.use(step, shard);
    }
  }
  use.finish(steps);
  return use;
}

TEST(SampleUseTest, EverySampleIsUsedOnceInEachPass) {
  for (const std::int64_t steps : {1, 4, 5, 37, 100}) {
    const SampleUse use = used(steps);
    EXPECT_EQ(use.wrong(), std::vector<std::string>{}) << steps;
    EXPECT_EQ(use.samples(), steps * kBatch);
  }
}

TEST(SampleUseTest, BatchesMayBeLargerThanTheData) {
  SampleUse use(SampleOrder(7, 3), kBatch, kShards);
  for (std::int64_t step = 1; step <= 6; ++step)
    for (std::int64_t shard = 0; shard < kShards; ++shard) use.use(step, shard);
  use.finish(6);
  EXPECT_EQ(use.wrong(), std::vector<std::string>{});
}

TEST(SampleUseTest, WhatAShardLeavesOutIsMissingOnceThePassIsOver) {
  EXPECT_EQ(used(4, 3).wrong(), std::vector<std::string>{}) << "the pass is not over";
  const SampleUse use = used(5, 3);
  ASSERT_EQ(use.wrong().size(), 1U);
  const std::string& line = use.wrong()[0];
  EXPECT_TRUE(line.starts_with("data epoch 0: 2 of 37 samples never used: ")) << line;
}

TEST(SampleUseTest, WhatAShardUsesAgainIsNamed) {
  const SampleUse use = used(5, 0, 2);
  ASSERT_EQ(use.wrong().size(), 2U);
  const SampleId first = shard_samples(SampleOrder(7, kSamples), 1, kBatch, kShards, 3)[0];
  EXPECT_EQ(use.wrong()[0], "step 2: shard 3: sample " + std::to_string(first.number) + " of data epoch 0 again");
}

}  // namespace
}  // namespace convoy
