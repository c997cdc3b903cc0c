#include "distributed/tcp/tcp_communicator.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <functional>
#include <thread>

#include "core/base/error.h"
#include "core/base/unique_fd.h"
#include "distributed/pages.h"
#include "tests/distributed/communicator_cases.h"
#include "tests/distributed/expected_errors.h"
#include "tests/distributed/tcp/tcp_ranks.h"

namespace convoy::distributed {
namespace {

using testing::Bytes;
using testing::check_tree;
using testing::layout_of;
using testing::message_of;
using testing::run_tcp_ranks;
using testing::TcpRankContext;
using testing::Where;

constexpr std::size_t kArena = 8 << 20;

TEST(TcpCommunicatorTreeTest, PiecesOfLargeSumsHaveTheSameBits) {
  for (const std::int32_t size : {1, 2, 3, 4}) {
    run_tcp_ranks(size, [size](TcpRankContext& context) {
      const Pages arena(2 * kArena);
      const auto communicator = context.communicator();
      // Slices of more pieces than there are places for.
      check_tree<float>(*communicator, arena.span(), layout_of(size + 1, size), size * 200'000 + 13, 1024,
                        Where::kArena);
      check_tree<double>(*communicator, arena.span(), layout_of(size, size), size * 40'000 - 7, 1, Where::kHeap);
    });
  }
}

TEST(TcpCommunicatorTreeTest, ShardsMayLieAnywhere) {
  run_tcp_ranks(2, [](TcpRankContext& context) {
    const Pages arena(kArena);
    const auto communicator = context.communicator();
    const TreeLayout layout{5, {{{0, 1}, {2, 4}}, {{1, 2}, {4, 5}}}};
    for (const std::int64_t count : {100, 40'000, 300'000})
      check_tree<float>(*communicator, arena.span(), layout, count, 1, Where::kArena);
  });
}

TEST(TcpCommunicatorTreeTest, RanksWithoutShardsTakePart) {
  run_tcp_ranks(3, [](TcpRankContext& context) {
    const Pages arena(kArena);
    const auto communicator = context.communicator();
    const TreeLayout layout{2, {{{0, 1}}, {}, {{1, 2}}}};
    for (const std::int64_t count : {1, 100, 40'000, 300'000})
      check_tree<float>(*communicator, arena.span(), layout, count, 1, Where::kArena);
  });
}

// More ranks than slices of a cache line; far more than cores.
TEST(TcpCommunicatorTreeTest, SixtyFourRanksMeet) {
  run_tcp_ranks(64,
                [](TcpRankContext& context) {
                  const Pages arena(kArena);
                  TcpMeeting meeting = context.meeting();
                  meeting.timeout = std::chrono::seconds(100);  // where other tests take all cores
                  const auto communicator = context.communicator(meeting);
                  check_tree<float>(*communicator, arena.span(), layout_of(64, 64), 17, 1, Where::kHeap);
                  check_tree<float>(*communicator, arena.span(), layout_of(64, 64), 3'000, 1, Where::kHeap);
                },
                {.deadline = std::chrono::seconds(120)});
}

TEST(TcpCommunicatorFaultTest, AKilledPeerIsNamedInTheMiddleOfASum) {
  run_tcp_ranks(3,
                [](TcpRankContext& context) {
                  const Pages arena(kArena);
                  const auto communicator = context.communicator();
                  double value = 1.0;
                  communicator->all_reduce(ReduceType::kF64, &value, 1);
                  std::thread killer;
                  if (context.rank == 2)
                    killer = std::thread([] {
                      std::this_thread::sleep_for(std::chrono::milliseconds(50));
                      raise(SIGKILL);
                    });
                  const std::string message = message_of(ErrorCode::kPeerLost, [&] {
                    while (true)
                      check_tree<float>(*communicator, arena.span(), layout_of(3, 3), 400'000, 1024, Where::kArena);
                  });
                  EXPECT_NAMES(message, "rank 2 (worker 2) is gone");
                  EXPECT_NAMES(message, "tree_all_reduce in epoch 1.1");
                  // Broken for good, and says the same.
                  EXPECT_NAMES(message_of(ErrorCode::kPeerLost, [&] { communicator->broadcast(&value, 8, 0); }),
                               "rank 2");
                },
                {.killed = 2});
}

// Rank 1 waits in each operation for rank 0, which never comes; `abort` is rank 1's own or rank 0's.
TEST(TcpCommunicatorFaultTest, AbortEndsEveryOperationOnBothSides) {
  std::vector<double> data(200'000, 1.0);
  const auto whole = std::as_writable_bytes(std::span(data));
  const std::vector<std::function<void(Communicator&)>> operations = {
      [&](Communicator& c) {
        const std::span<const std::byte> send[] = {whole.first(8), whole.first(16)};
        const std::span<std::byte> receive[] = {whole.subspan(64, 8), whole.subspan(128, 16)};
        c.all_to_all_v(send, receive);
      },
      [&](Communicator& c) {
        const std::span<std::byte> receive[] = {whole.subspan(64, 8), whole.subspan(128, 16)};
        c.all_gather_v(whole.first(16), receive);
      },
      [&](Communicator& c) {
        double sum[4];
        c.reduce_scatter(ReduceType::kF64, data.data(), sum, std::vector<std::int64_t>{4, 4});
      },
      [&](Communicator& c) { c.all_reduce(ReduceType::kF64, data.data(), 8); },
      [&](Communicator& c) { c.broadcast(data.data(), 64, 0); },
      [&](Communicator& c) {
        while (true) c.send(data.data(), data.size() * sizeof(double), 0);  // until the connection is full
      },
      [&](Communicator& c) { c.receive(data.data(), 64, 0); },
      [&](Communicator& c) {
        std::vector<double> sum(data.size());
        const void* const partial = data.data();
        c.tree_all_reduce(ReduceType::kF64, layout_of(2, 2), {&partial, 1}, sum.data(), std::ssize(data), 1);
      },
  };
  for (const bool own : {true, false}) {
    int aborted[2];  // a pipe
    ASSERT_EQ(pipe2(aborted, O_CLOEXEC), 0);
    const UniqueFd hears(aborted[0]);
    const UniqueFd tells(aborted[1]);
    run_tcp_ranks(2, [&](TcpRankContext& context) {
      for (std::size_t i = 0; i < operations.size(); ++i) {
        TcpMeeting meeting = context.meeting();
        meeting.ballot.attempt = static_cast<std::uint32_t>(i) + 1;
        const auto communicator = context.communicator(meeting);
        if (context.rank == 0) {
          char byte = 0;
          if (own) {
            EXPECT_EQ(read(hears.get(), &byte, 1), 1);
          }
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          if (!own) communicator->abort();
          // The peer's end is heard of too, in a call that needs it.
          const std::string message = message_of(ErrorCode::kPeerLost, [&] {
            while (true) communicator->send(data.data(), data.size() * sizeof(double), 1);
          });
          EXPECT_NAMES(message, own ? "rank 1 (worker 1) aborted" : "this worker aborted");
          continue;
        }
        std::atomic<bool> called = false;
        std::thread aborter([&] {
          while (!called) std::this_thread::yield();
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
          if (!own) return;
          communicator->abort();
          EXPECT_EQ(write(tells.get(), "", 1), 1);
        });
        const auto begin = std::chrono::steady_clock::now();
        const std::string message = message_of(ErrorCode::kPeerLost, [&] {
          called = true;
          operations[i](*communicator);
        });
        EXPECT_NAMES(message, own ? "this worker aborted" : "rank 0 (worker 0) aborted");
        EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5)) << i;
        aborter.join();
      }
    });
  }
}

TEST(TcpCommunicatorFaultTest, CallsAfterAnAbortFail) {
  run_tcp_ranks(2, [](TcpRankContext& context) {
    const auto communicator = context.communicator();
    communicator->abort();
    double value = 1.0;
    EXPECT_NAMES(message_of(ErrorCode::kPeerLost, [&] { communicator->all_reduce(ReduceType::kF64, &value, 1); }),
                 "all_reduce in epoch 1.1: this worker aborted");
  });
}

TEST(TcpCommunicatorFaultTest, DisagreementNamesBothSides) {
  const auto expect_named = [](const std::function<void()>& call, std::string_view one, std::string_view other) {
    try {
      call();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      // One of the two sees the difference first; the other may hear that it aborted.
      const std::string text = error.what();
      if (error.code() == ErrorCode::kPeerLost) return;
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << text;
      EXPECT_NAMES(text, one);
      EXPECT_NAMES(text, other);
    }
  };
  run_tcp_ranks(2, [&](TcpRankContext& context) {
    const auto epoch = [&](std::uint32_t attempt) {
      TcpMeeting meeting = context.meeting();
      meeting.ballot.attempt = attempt;
      return context.communicator(meeting);
    };
    const bool first = context.rank == 0;
    std::vector<double> data(8);
    {
      const auto communicator = epoch(1);
      expect_named([&] { communicator->all_reduce(ReduceType::kF64, data.data(), first ? 8 : 4); }, "64", "32");
    }
    {
      const auto communicator = epoch(2);
      expect_named(
          [&] {
            if (first) communicator->all_reduce(ReduceType::kF64, data.data(), 1);
            if (!first) communicator->broadcast(data.data(), 8, 0);
            if (!first) communicator->receive(data.data(), 8, 0);  // the root of a broadcast waits for nobody
          },
          "all_reduce", "broadcast");
    }
    {
      const auto communicator = epoch(3);
      expect_named(
          [&] {
            if (first) communicator->send(data.data(), 16, 1);
            if (!first) communicator->receive(data.data(), 24, 0);
            if (first) communicator->receive(data.data(), 1, 1);
          },
          "16", "24");
    }
  });
}

TEST(TcpCommunicatorFaultTest, SurvivorsGoOnInANewEpoch) {
  run_tcp_ranks(3,
                [](TcpRankContext& context) {
                  const Pages arena(kArena);
                  {
                    const auto communicator = context.communicator();
                    double value = 1.0;
                    for (int round = 0; round <= 4; ++round) communicator->all_reduce(ReduceType::kF64, &value, 1);
                    if (context.rank == 1) raise(SIGKILL);
                    message_of(ErrorCode::kPeerLost, [&] {
                      while (true) communicator->all_reduce(ReduceType::kF64, &value, 1);
                    });
                  }
                  TcpMeeting next = context.meeting();
                  next.members.erase(next.members.begin() + 1);
                  next.rank = context.rank == 0 ? 0 : 1;
                  next.ballot = {1, 2};
                  const auto communicator = context.communicator(next);
                  for (int repeat = 0; repeat < 3; ++repeat)
                    check_tree<float>(*communicator, arena.span(), layout_of(5, 2), 40'000, 1, Where::kArena);
                },
                {.killed = 1});
}

int threads_of_this_process() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) ++count;
  return count;
}

TEST(TcpCommunicatorFaultTest, TwoHundredEpochsLeaveNothingBehind) {
  run_tcp_ranks(3, [](TcpRankContext& context) {
    int before = 0;
    for (std::uint32_t attempt = 1; attempt <= 200; ++attempt) {
      TcpMeeting meeting = context.meeting();
      meeting.ballot.attempt = attempt;
      const auto communicator = context.communicator(meeting);
      double value = 1.0;
      communicator->all_reduce(ReduceType::kF64, &value, 1);
      EXPECT_EQ(value, 3.0);
      if (attempt % 2 == 0) {
        // When the second sum is through here, the first one is everywhere.
        if (context.rank == 0) communicator->all_reduce(ReduceType::kF64, &value, 1);
        if (context.rank == 0) communicator->abort();
        message_of(ErrorCode::kPeerLost, [&] {
          while (true) communicator->all_reduce(ReduceType::kF64, &value, 1);
        });
      }
      if (attempt == 1) before = testing::open_descriptors();
      if (attempt == 200) {
        EXPECT_EQ(testing::open_descriptors(), before);
        EXPECT_EQ(threads_of_this_process(), 1);
      }
    }
  });
}

// Whoever is done may leave while others are still at it.
TEST(TcpCommunicatorTest, LeavingAfterTheLastCallFailsNobody) {
  for (int repeat = 0; repeat < 10; ++repeat) {
    run_tcp_ranks(4, [](TcpRankContext& context) {
      std::vector<float> data(100'000, 1.0F);
      const auto communicator = context.communicator();
      communicator->all_reduce(ReduceType::kF32, data.data(), std::ssize(data));
      EXPECT_EQ(data.back(), 4.0F);
    });
  }
}

}  // namespace
}  // namespace convoy::distributed
