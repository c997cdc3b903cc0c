#include "core/graph/memory_plan.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/device/device.h"

namespace convoy {
namespace {

std::vector<Buffer> random_buffers(unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<Buffer> buffers(generator() % 60 + 1);
  for (Buffer& buffer : buffers) {
    buffer.bytes = generator() % 5000;
    buffer.first = static_cast<std::int32_t>(generator() % 50);
    buffer.last = buffer.first + static_cast<std::int32_t>(generator() % 12);
  }
  return buffers;
}

TEST(MemoryPlanTest, WhatIsAliveTogetherLiesApart) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const std::vector<Buffer> buffers = random_buffers(seed);
    const MemoryPlan plan = plan_memory(buffers);
    EXPECT_EQ(find_overlap(buffers, plan), "") << "seed " << seed;
    EXPECT_GE(plan.bytes, plan.lower_bound);
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      EXPECT_EQ(plan.offsets[i] % Device::kAlignment, 0U);
      EXPECT_LE(plan.offsets[i] + buffers[i].bytes, plan.bytes);
    }
  }
}

TEST(MemoryPlanTest, WhatIsNotMayShare) {
  // A chain: each value is read by the next step alone.
  std::vector<Buffer> chain;
  for (std::int32_t i = 0; i < 20; ++i) chain.push_back({.bytes = 640, .first = i, .last = i + 1});
  const MemoryPlan plan = plan_memory(chain);
  EXPECT_EQ(plan.lower_bound, 1280U);
  EXPECT_EQ(plan.bytes, 1280U);
}

TEST(MemoryPlanTest, IsNearTheBoundOnNestedLifetimes) {
  // Forward values wait for the backward pass.
  std::vector<Buffer> buffers;
  constexpr std::int32_t kLayers = 30;
  for (std::int32_t i = 0; i < kLayers; ++i) {
    buffers.push_back({.bytes = 1000, .first = i, .last = 2 * kLayers - i});
    buffers.push_back({.bytes = 3000, .first = 2 * kLayers - i, .last = 2 * kLayers - i + 1});
  }
  const MemoryPlan plan = plan_memory(buffers);
  EXPECT_EQ(find_overlap(buffers, plan), "");
  EXPECT_LE(static_cast<double>(plan.bytes), 1.05 * static_cast<double>(plan.lower_bound));
}

TEST(MemoryPlanTest, OverlapsAreFound) {
  const std::vector<Buffer> buffers = {{.bytes = 100, .first = 0, .last = 2}, {.bytes = 100, .first = 2, .last = 3}};
  EXPECT_NE(find_overlap(buffers, {.offsets = {0, 64}, .bytes = 164}), "");
  EXPECT_EQ(find_overlap(buffers, {.offsets = {0, 128}, .bytes = 228}), "");
}

TEST(MemoryPlanTest, NothingNeedsNothing) { EXPECT_EQ(plan_memory({}).bytes, 0U); }

}  // namespace
}  // namespace convoy
