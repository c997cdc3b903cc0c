#include "core/device/cpu_device.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/device/parallel.h"

namespace convoy {
namespace {

TEST(CpuDeviceTest, MemoryIsAligned) {
  CpuDevice device;
  for (const std::size_t bytes : {0u, 1u, 63u, 64u, 1000u, 1025u, 5000u, 3u << 20}) {
    void* data = device.allocate(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % Device::kAlignment, 0u) << bytes;
    std::memset(data, 1, bytes);
    device.release(data, bytes);
  }
  EXPECT_EQ(device.pool_statistics().bytes_in_use, 0u);
}

TEST(CpuDeviceTest, ReleasedMemoryServesTheNextRequestOfItsSize) {
  CpuDevice device;
  void* first = device.allocate(5000);
  device.release(first, 5000);
  EXPECT_EQ(device.allocate(5000), first);
  EXPECT_EQ(device.pool_statistics().system_requests, 1u);
  device.release(first, 5000);
}

TEST(CpuDeviceTest, ImpossibleRequestsAreRefusedAndLeaveThePoolUsable) {
  CpuDevice device;
  constexpr std::size_t kTooMuch = std::size_t{1} << 60;
  try {
    device.allocate(kTooMuch);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find(std::to_string(kTooMuch)), std::string::npos) << error.what();
  }
  EXPECT_EQ(device.pool_statistics().bytes_in_use, 0u);
  EXPECT_EQ(device.pool_statistics().bytes_held, 0u);
}

TEST(CpuDeviceTest, NeedsAThread) { EXPECT_THROW(CpuDevice(0), Error); }

TEST(CpuDeviceTest, LocalsLiveAsLongAsTheDevice) {
  struct Counter {
    int value = 0;
  };
  CpuDevice device;
  device.local<Counter>().value = 3;
  EXPECT_EQ(device.local<Counter>().value, 3);
  EXPECT_EQ(CpuDevice().local<Counter>().value, 0);
}

TEST(ParallelTest, PiecesCoverTheRangeOnce) {
  for (const int threads : {1, 2, 5}) {
    for (const std::int64_t n : {0, 1, 7, 100}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
      parallel_for(threads, n, 3, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
      });
      for (const auto& count : visits) EXPECT_EQ(count, 1);
    }
  }
}

TEST(ParallelTest, SmallRangesStayOnOneThread) {
  std::atomic<int> pieces = 0;
  parallel_for(8, 10, 6, [&](std::int64_t, std::int64_t) { ++pieces; });
  EXPECT_EQ(pieces, 1);
}

}  // namespace
}  // namespace convoy
