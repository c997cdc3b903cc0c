#include "worker/read_ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "core/base/error.h"
#include "core/device/cpu_device.h"

namespace convoy::worker {
namespace {

using std::chrono::milliseconds;

class ReadAheadTest : public testing::Test {
 protected:
  Batch batch_of(std::int64_t number) {
    const auto value = static_cast<std::int32_t>(number);
    const Tensor tensor = Tensor::of<std::int32_t>(device_, {1}, std::span(&value, 1));
    return {tensor, tensor};
  }
  static std::int64_t number_in(const Batch& batch) { return batch.inputs.to_vector<std::int32_t>()[0]; }

  CpuDevice device_;
};

TEST_F(ReadAheadTest, BatchesComeInOrderWhateverTheThreadsDo) {
  for (const int threads : {1, 2, 5}) {
    for (const std::int64_t depth : {1, 2, 3, 8}) {
      ReadAhead ahead({.threads = threads, .depth = depth, .end = 40}, [&](std::int64_t number) {
        std::this_thread::sleep_for(std::chrono::microseconds(number * 7919 % 300));  // later ones may be done sooner
        return batch_of(number);
      });
      for (std::int64_t number = 3; number < 40; ++number) ASSERT_EQ(number_in(ahead.take(number)), number);
    }
  }
}

TEST_F(ReadAheadTest, NeverReadsFurtherThanItsDepthNorPastTheEnd) {
  std::atomic<std::int64_t> furthest = -1;
  ReadAhead ahead({.threads = 3, .depth = 4, .end = 12}, [&](std::int64_t number) {
    for (std::int64_t seen = furthest; seen < number && !furthest.compare_exchange_weak(seen, number);) {
    }
    return batch_of(number);
  });
  for (std::int64_t number = 0; number < 12; ++number) {
    EXPECT_EQ(number_in(ahead.take(number)), number);
    std::this_thread::sleep_for(milliseconds(2));
    EXPECT_LE(furthest, std::min<std::int64_t>(number + 4, 11));
  }
  EXPECT_EQ(furthest, 11);
}

TEST_F(ReadAheadTest, ReadsWhileNobodyWaits) {
  std::atomic<int> read = 0;
  ReadAhead ahead({.threads = 1, .depth = 3, .end = 100}, [&](std::int64_t number) {
    ++read;
    return batch_of(number);
  });
  ahead.take(0);
  for (int i = 0; i < 2000 && read < 4; ++i) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(read, 4);
}

TEST_F(ReadAheadTest, LeapsGiveTheBatchAskedFor) {
  ReadAhead ahead({.threads = 2, .depth = 4, .end = 1000}, [&](std::int64_t number) {
    std::this_thread::sleep_for(std::chrono::microseconds(number * 31 % 200));
    return batch_of(number);
  });
  for (const std::int64_t number : {5, 6, 7, 5, 6, 999, 0, 1, 1, 1, 4, 3, 2, 2, 500, 501, 502, 503, 504, 499})
    ASSERT_EQ(number_in(ahead.take(number)), number);
}

TEST_F(ReadAheadTest, AnErrorIsThatOfItsBatch) {
  ReadAhead ahead({.threads = 2, .depth = 4, .end = 10}, [&](std::int64_t number) -> Batch {
    if (number == 2) fail(ErrorCode::kUsage, "picture {} is damaged", number);
    return batch_of(number);
  });
  EXPECT_EQ(number_in(ahead.take(0)), 0);
  EXPECT_EQ(number_in(ahead.take(1)), 1);
  try {
    ahead.take(2);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "picture 2 is damaged");
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
  }
  EXPECT_EQ(number_in(ahead.take(3)), 3);
}

TEST_F(ReadAheadTest, EndsWithoutWaitingForWhatIsStillToRead) {
  const auto start = std::chrono::steady_clock::now();
  {
    ReadAhead ahead({.threads = 1, .depth = 1000, .end = 1000}, [&](std::int64_t number) {
      std::this_thread::sleep_for(milliseconds(10));
      return batch_of(number);
    });
    ahead.take(0);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));  // all of them take ten
}

TEST_F(ReadAheadTest, BuffersAreUsedAgain) {
  ReadAhead ahead({.threads = 1, .depth = 4, .end = 500}, [&](std::int64_t number) { return batch_of(number); });
  for (std::int64_t number = 0; number < 50; ++number) ahead.take(number);
  for (std::int64_t number = 50; number < 500; ++number) ahead.take(number);
  EXPECT_LE(device_.pool_statistics().system_requests, 7u);  // depth, one taken, one being read, one of the other
}

}  // namespace
}  // namespace convoy::worker
