#include "distributed/local/local_communicator.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <csignal>
#include <cstring>
#include <numeric>
#include <thread>

#include "core/base/error.h"
#include "distributed/solo.h"
#include "tests/distributed/communicator_cases.h"
#include "tests/distributed/process_ranks.h"

namespace convoy::distributed {
namespace {

using testing::check_tree;
using testing::layout_of;
using testing::RankContext;
using testing::run_ranks;
using testing::Where;

TEST(LocalCommunicatorTreeTest, LargeSumsAreStreamedWithTheSameBits) {
  const testing::RanksOptions options{.segment = {.arena_bytes = 49 << 20}};
  run_ranks(
      2,
      [](RankContext& context) {
        const auto communicator = context.communicator();
        check_tree<float>(*communicator, context.segment.arena(), layout_of(2, 2), (4 << 20) + 13, 1024, Where::kArena);
      },
      options);
}

TEST(LocalCommunicatorTreeTest, ShardsMayLieAnywhere) {
  run_ranks(2, [](RankContext& context) {
    const auto communicator = context.communicator();
    const TreeLayout layout{5, {{{0, 1}, {2, 4}}, {{1, 2}, {4, 5}}}};
    for (const std::int64_t count : {100, 40'000})
      check_tree<float>(*communicator, context.segment.arena(), layout, count, 1, Where::kArena);
  });
}

TEST(LocalCommunicatorTreeTest, RanksWithoutShardsTakePart) {
  run_ranks(3, [](RankContext& context) {
    const auto communicator = context.communicator();
    const TreeLayout layout{2, {{{0, 1}}, {}, {{1, 2}}}};
    for (const Where where : {Where::kArena, Where::kHeap})
      for (const std::int64_t count : {100, 40'000})
        check_tree<float>(*communicator, context.segment.arena(), layout, count, 1, where);
  });
}

TEST(LocalCommunicatorTreeTest, WorkersBeyondTheCoresStillMeet) {
  run_ranks(9, [](RankContext& context) {
    const auto communicator = context.communicator();
    for (int repeat = 0; repeat < 20; ++repeat)
      check_tree<float>(*communicator, context.segment.arena(), layout_of(16, 9), 300, 1, Where::kHeap);
  });
}

// --- faults ----------------------------------------------------------------------------------------------------------

// Expects an error of `code` whose message holds all of `parts`.
template <typename Body>
void expect_error(ErrorCode code, std::initializer_list<std::string_view> parts, const Body& body) {
  try {
    body();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const std::string_view part : parts)
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
          << error.what() << " should name " << part;
  }
}

TEST(LocalCommunicatorFaultTest, AbortFromAnotherThreadEndsWaitsOnEveryRank) {
  run_ranks(3, [](RankContext& context) {
    const auto communicator = context.communicator();
    double value = 1.0;
    if (context.rank == 0) {  // never joins the collective
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      std::thread([&] { communicator->abort(); }).join();
      expect_error(ErrorCode::kPeerLost, {"all_reduce", "1.1"},
                   [&] { communicator->all_reduce(ReduceType::kF64, &value, 1); });
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // so that the others see the abort, not the end
    } else if (context.rank == 1) {
      std::thread aborter([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        communicator->abort();
      });
      const auto begin = std::chrono::steady_clock::now();
      expect_error(ErrorCode::kPeerLost, {"this worker aborted"},
                   [&] { communicator->all_reduce(ReduceType::kF64, &value, 1); });
      EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
      aborter.join();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    } else {
      expect_error(ErrorCode::kPeerLost, {"rank 1", "aborted"},
                   [&] { communicator->all_reduce(ReduceType::kF64, &value, 1); });
      // Broken for good.
      expect_error(ErrorCode::kPeerLost, {"broadcast"}, [&] { communicator->broadcast(&value, 8, 0); });
    }
  });
}

TEST(LocalCommunicatorFaultTest, AKilledPeerIsNamedBySurvivors) {
  const testing::RanksOptions options{.killed = 2, .deadline = std::chrono::seconds(10)};
  run_ranks(
      3,
      [](RankContext& context) {
        const auto communicator = context.communicator();
        double value = 1.0;
        communicator->all_reduce(ReduceType::kF64, &value, 1);
        if (context.rank == 2) raise(SIGKILL);
        const auto begin = std::chrono::steady_clock::now();
        expect_error(ErrorCode::kPeerLost, {"rank 2", "is gone", "tree_all_reduce"}, [&] {
          while (true)
            check_tree<float>(*communicator, context.segment.arena(), layout_of(3, 3), 40'000, 1, Where::kArena);
        });
        EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
        // Stays until the other survivor has noticed the death of rank 2, not ours.
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
      },
      options);
}

TEST(LocalCommunicatorFaultTest, ASendToAKilledPeerFails) {
  const testing::RanksOptions options{.killed = 1};
  run_ranks(
      2,
      [](RankContext& context) {
        const auto communicator = context.communicator();
        if (context.rank == 1) raise(SIGKILL);
        expect_error(ErrorCode::kPeerLost, {"rank 1", "send"}, [&] { communicator->send("x", 1, 1); });
      },
      options);
}

TEST(LocalCommunicatorFaultTest, DisagreementNamesBothSides) {
  run_ranks(2, [](RankContext& context) {
    {
      auto options = context.options();
      const auto communicator = make_local_communicator(options);
      std::vector<double> data(8);
      try {
        communicator->all_reduce(ReduceType::kF64, data.data(), context.rank == 0 ? 8 : 4);
        ADD_FAILURE() << "no error";
      } catch (const Error& error) {
        // One of the two sees the difference first; the other may hear that it aborted.
        const std::string_view text = error.what();
        if (error.code() == ErrorCode::kInvalidArgument) {
          EXPECT_NE(text.find("64"), std::string_view::npos) << text;
          EXPECT_NE(text.find("32"), std::string_view::npos) << text;
        } else {
          EXPECT_EQ(error.code(), ErrorCode::kPeerLost) << text;
        }
      }
    }
    auto options = context.options();
    options.ballot.attempt = 2;
    const auto communicator = make_local_communicator(options);
    double value = 0.0;
    try {
      if (context.rank == 0) communicator->all_reduce(ReduceType::kF64, &value, 1);
      if (context.rank == 1) communicator->broadcast(&value, 8, 0);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      const std::string_view text = error.what();
      if (error.code() == ErrorCode::kInvalidArgument) {
        EXPECT_NE(text.find("all_reduce"), std::string_view::npos) << text;
        EXPECT_NE(text.find("broadcast"), std::string_view::npos) << text;
      } else {
        EXPECT_EQ(error.code(), ErrorCode::kPeerLost) << text;
      }
    }
  });
}

TEST(LocalCommunicatorFaultTest, SurvivorsGoOnInANewEpochWithTheSameSegments) {
  const testing::RanksOptions options{.killed = 1};
  run_ranks(
      3,
      [](RankContext& context) {
        {
          const auto communicator = context.communicator();
          double value = 1.0;
          for (int round = 0; round <= 4; ++round) communicator->all_reduce(ReduceType::kF64, &value, 1);
          if (context.rank == 0) communicator->send(&value, sizeof(value), 2);
          if (context.rank == 2) communicator->receive(&value, sizeof(value), 0);
          if (context.rank == 1) {
            communicator->all_reduce(ReduceType::kF64, &value, 1);  // the others have sent and received by then
            raise(SIGKILL);
          }
          expect_error(ErrorCode::kPeerLost, {}, [&] {
            while (true) communicator->all_reduce(ReduceType::kF64, &value, 1);
          });
        }
        auto next = context.options();
        next.members.erase(next.members.begin() + 1);
        next.rank = context.rank == 0 ? 0 : 1;
        next.ballot = {1, 2};
        const auto communicator = make_local_communicator(next);
        for (int repeat = 0; repeat < 3; ++repeat) {
          check_tree<float>(*communicator, context.segment.arena(), layout_of(5, 2), 40'000, 1, Where::kArena);
          double value = 42.0;
          if (next.rank == 0) communicator->send(&value, sizeof(value), 1);
          if (next.rank == 1) communicator->receive(&value, sizeof(value), 0);
          EXPECT_EQ(value, 42.0);
        }
      },
      options);
}

TEST(LocalCommunicatorFaultTest, EpochsLeaveNoDescriptorBehind) {
  run_ranks(2, [](RankContext& context) {
    const int before = testing::open_descriptors();
    for (std::uint32_t attempt = 1; attempt <= 5; ++attempt) {
      auto options = context.options();
      options.ballot.attempt = attempt;
      const auto communicator = make_local_communicator(options);
      double value = 1.0;
      communicator->all_reduce(ReduceType::kF64, &value, 1);
    }
    EXPECT_EQ(testing::open_descriptors(), before);
  });
}

}  // namespace
}  // namespace convoy::distributed
