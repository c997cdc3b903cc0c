#include "core/ops/fetch_ahead.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <vector>

namespace convoy {
namespace {

TEST(FetchAheadTest, EveryLineOfABlockIsTakenOnce) {
  const std::vector<std::byte> memory(8 * 256);
  FetchQueue queue;
  queue.add(memory.data(), 256, 8, 130);  // 8 rows of 3 lines
  std::set<std::ptrdiff_t> offsets;
  while (!queue.empty()) {
    const Fetch fetch = queue.take(4);
    for (std::ptrdiff_t i = 0; i < 4; ++i)
      EXPECT_TRUE(offsets.insert(fetch.line + i * fetch.step - memory.data()).second);
  }
  std::set<std::ptrdiff_t> expected;
  for (std::ptrdiff_t row = 0; row < 8; ++row) expected.insert({row * 256, row * 256 + 64, row * 256 + 128});
  EXPECT_EQ(offsets, expected);
}

TEST(FetchAheadTest, WhatIsAddedToAFullQueueIsLeftOut) {
  const std::byte memory[64] = {};
  FetchQueue queue;
  for (int i = 0; i < 100; ++i) queue.add(memory, 64, 1, 64);
  int blocks = 0;
  for (; !queue.empty(); ++blocks) EXPECT_EQ(queue.take(1).line, memory);
  EXPECT_GT(blocks, 0);
  EXPECT_LT(blocks, 100);
}

TEST(FetchAheadTest, WhatIsNearGoesFirst) {
  const std::byte memory[128] = {};
  Lookahead ahead;
  EXPECT_EQ(ahead.take(1).line, nullptr);
  ahead.later.add(memory, 64, 1, 64);
  ahead.near.add(memory + 64, 64, 1, 64);
  EXPECT_EQ(ahead.take(0).line, nullptr);
  EXPECT_EQ(ahead.take(1).line, memory + 64);
  EXPECT_EQ(ahead.take(1).line, memory);
  EXPECT_EQ(ahead.take(1).line, nullptr);
}

}  // namespace
}  // namespace convoy
