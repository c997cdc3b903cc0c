#include "core/device/memory_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "core/device/device.h"

namespace convoy {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Block {
  unsigned char* data;
  std::size_t bytes;
  unsigned char mark;
};

TEST(MemoryPoolTest, BlocksAreAlignedAndTheirOwn) {
  MemoryPool pool;
  std::mt19937 generator(3);
  std::vector<Block> blocks;
  const auto check = [](const Block& block) {
    return std::all_of(block.data, block.data + block.bytes, [&](unsigned char c) { return c == block.mark; });
  };
  for (int i = 0; i < 2000; ++i) {
    if (blocks.size() > 40 || (!blocks.empty() && generator() % 3 == 0)) {
      const std::size_t which = generator() % blocks.size();
      ASSERT_TRUE(check(blocks[which]));
      pool.release(blocks[which].data, blocks[which].bytes);
      blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(which));
    } else {
      const std::size_t bytes = generator() % 2 == 0 ? generator() % 3000 : generator() % 300000;
      auto* const data = static_cast<unsigned char*>(pool.allocate(bytes));
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % Device::kAlignment, 0U);
      const auto mark = static_cast<unsigned char>(i);
      std::memset(data, mark, bytes);
      blocks.push_back({data, bytes, mark});
    }
  }
  for (const Block& block : blocks) {
    EXPECT_TRUE(check(block));
    pool.release(block.data, block.bytes);
  }
  EXPECT_EQ(pool.statistics().bytes_in_use, 0U);
}

TEST(MemoryPoolTest, NeighboursJoin) {
  MemoryPool pool;
  std::vector<void*> parts;
  for (int i = 0; i < 8; ++i) parts.push_back(pool.allocate(kMiB));
  const std::size_t held = pool.statistics().bytes_held;
  for (const int i : {1, 3, 0, 2, 7, 5, 6, 4}) pool.release(parts[static_cast<std::size_t>(i)], kMiB);
  void* const whole = pool.allocate(8 * kMiB);
  EXPECT_EQ(pool.statistics().bytes_held, held);
  pool.release(whole, 8 * kMiB);
}

TEST(MemoryPoolTest, OtherSizesTakeTheSameMemory) {
  MemoryPool pool;
  const auto fill = [&](std::size_t bytes) {
    std::vector<void*> blocks;
    for (std::size_t used = 0; used + bytes <= 64 * kMiB; used += bytes) blocks.push_back(pool.allocate(bytes));
    for (void* block : blocks) pool.release(block, bytes);
  };
  for (const std::size_t bytes : {3 * kMiB, kMiB / 2, 7 * kMiB, 40 * kMiB, 102400UL}) fill(bytes);
  EXPECT_LE(pool.statistics().bytes_held, 65 * kMiB);
}

TEST(MemoryPoolTest, AStepFindsTheMemoryOfTheStepBefore) {
  MemoryPool pool;
  const auto step = [&] {
    std::mt19937 generator(5);
    std::vector<std::pair<void*, std::size_t>> blocks;
    for (int i = 0; i < 300; ++i) {
      const std::size_t bytes = generator() % (4 * kMiB);
      blocks.emplace_back(pool.allocate(bytes), bytes);
      if (generator() % 2 == 0) continue;
      std::swap(blocks[generator() % blocks.size()], blocks.back());
      pool.release(blocks.back().first, blocks.back().second);
      blocks.pop_back();
    }
    for (const auto& [data, bytes] : blocks) pool.release(data, bytes);
  };
  step();
  const std::uint64_t requests = pool.statistics().system_requests;
  const std::size_t held = pool.statistics().bytes_held;
  step();
  EXPECT_EQ(pool.statistics().system_requests, requests);
  EXPECT_EQ(pool.statistics().bytes_held, held);
}

TEST(MemoryPoolTest, ServesSeveralThreads) {
  MemoryPool pool;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&pool, t] {
      std::mt19937 generator(t);
      for (int i = 0; i < 2000; ++i) {
        const std::size_t bytes = generator() % 200000 + 1;
        auto* const data = static_cast<unsigned char*>(pool.allocate(bytes));
        data[0] = data[bytes - 1] = static_cast<unsigned char>(t);
        pool.release(data, bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool.statistics().bytes_in_use, 0U);
}

}  // namespace
}  // namespace convoy
