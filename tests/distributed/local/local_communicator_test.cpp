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
#include "tests/distributed/process_ranks.h"

namespace convoy::distributed {
namespace {

using testing::RankContext;
using testing::run_ranks;

using Bytes = std::vector<std::byte>;

// What rank `from` has for rank `to`.
Bytes pattern(std::size_t bytes, std::int32_t from, std::int32_t to) {
  Bytes data(bytes);
  for (std::size_t i = 0; i < bytes; ++i)
    data[i] = static_cast<std::byte>(
        (i * 31 + i / 253 + static_cast<std::size_t>(from) * 7 + static_cast<std::size_t>(to) * 3) & 255);
  return data;
}

// Numbers of very different sizes, so that another order of adding gives other bits.
template <typename T>
T leaf_value(std::int32_t leaf, std::int64_t i) {
  const auto mixed = static_cast<std::uint32_t>((i + 1) * 2654435761U) ^ static_cast<std::uint32_t>(leaf * 40503);
  const T mantissa = static_cast<T>(mixed % 20011) / static_cast<T>(10007) - static_cast<T>(1);
  return std::ldexp(mantissa, static_cast<int>(mixed >> 8) % 24 - 12);
}

template <typename T>
T node_value(std::int32_t begin, std::int32_t end, std::int64_t i) {
  if (end - begin == 1) return leaf_value<T>(begin, i);
  const auto split = begin + static_cast<std::int32_t>(std::bit_floor(static_cast<std::uint32_t>(end - begin - 1)));
  return node_value<T>(begin, split, i) + node_value<T>(split, end, i);
}

TreeLayout layout_of(std::int32_t leaves, std::int32_t ranks) {
  TreeLayout layout{leaves, {}};
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    const Subtree block = block_of(leaves, rank, ranks);
    layout.subtrees.push_back(maximal_subtrees(leaves, block.begin, block.end));
  }
  return layout;
}

template <typename T>
constexpr ReduceType kTypeOf = std::is_same_v<T, float> ? ReduceType::kF32 : ReduceType::kF64;

enum class Where { kArena, kHeap, kMixed };  // kMixed: partials in the arena, result outside on odd ranks

// Runs tree_all_reduce and compares with the definition, element by element, bit by bit.
template <typename T>
void check_tree(Communicator& communicator, Segment& segment, const TreeLayout& layout, std::int64_t count,
                std::int64_t granularity, Where where) {
  const auto& subtrees = layout.subtrees[static_cast<std::size_t>(communicator.rank())];
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
  const std::size_t stride = (bytes + 63) / 64 * 64;
  Bytes heap(stride * (subtrees.size() + 1));
  std::byte* const partial_base = where == Where::kHeap ? heap.data() : segment.arena().data();
  ASSERT_LE(heap.size(), segment.arena().size());
  std::vector<const void*> partials;
  for (std::size_t k = 0; k < subtrees.size(); ++k) {
    T* const partial = reinterpret_cast<T*>(partial_base + k * stride);
    for (std::int64_t i = 0; i < count; ++i) partial[i] = node_value<T>(subtrees[k].begin, subtrees[k].end, i);
    partials.push_back(partial);
  }
  const bool result_outside = where == Where::kHeap || (where == Where::kMixed && communicator.rank() % 2 == 1);
  T* const result =
      reinterpret_cast<T*>((result_outside ? heap.data() : segment.arena().data()) + subtrees.size() * stride);
  communicator.tree_all_reduce(kTypeOf<T>, layout, partials, result, count, granularity);
  for (std::int64_t i = 0; i < count; ++i) {
    const T expected = node_value<T>(0, layout.leaves, i);
    ASSERT_EQ(std::memcmp(&result[i], &expected, sizeof(T)), 0)
        << "element " << i << " of " << count << " on rank " << communicator.rank() << ": " << result[i]
        << ", expected " << expected;
  }
  // Whoever is done may change its partials at once.
  if (stride > 0 && !subtrees.empty()) std::memset(partial_base, 0xff, stride * subtrees.size());
}

class LocalCommunicatorTest : public ::testing::TestWithParam<std::int32_t> {};
INSTANTIATE_TEST_SUITE_P(Ranks, LocalCommunicatorTest, ::testing::Values(1, 2, 3, 4));

constexpr std::size_t kSizes[] = {0, 1, 4099, (64 << 10) - 1, 1 << 20};

TEST_P(LocalCommunicatorTest, AllToAllDeliversEveryBlock) {
  const std::int32_t size = GetParam();
  run_ranks(size, [size](RankContext& context) {
    const auto communicator = context.communicator();
    for (const std::size_t bytes : kSizes) {
      for (const bool in_arena : {false, true}) {
        // Uneven: the block from a to b has bytes * (a + 2b) / 9 bytes, none from 0 to 0.
        const auto block_bytes = [bytes](std::int32_t from, std::int32_t to) {
          return bytes * static_cast<std::size_t>(from + 2 * to) / 9;
        };
        std::vector<Bytes> outgoing, incoming;
        std::vector<std::span<const std::byte>> send;
        std::vector<std::span<std::byte>> receive;
        std::byte* arena = context.segment.arena().data();
        for (std::int32_t peer = 0; peer < size; ++peer) {
          outgoing.push_back(pattern(block_bytes(context.rank, peer), context.rank, peer));
          incoming.emplace_back(block_bytes(peer, context.rank));
        }
        for (std::size_t peer = 0; peer < outgoing.size(); ++peer) {
          send.emplace_back(outgoing[peer]);
          receive.emplace_back(incoming[peer]);
          if (!in_arena || context.rank == 1) continue;  // rank 1 always stages
          std::ranges::copy(outgoing[peer], arena);
          send.back() = {arena, outgoing[peer].size()};
          arena += outgoing[peer].size();
        }
        communicator->all_to_all_v(send, receive);
        if (in_arena && context.rank != 1 && bytes > 0) std::memset(context.segment.arena().data(), 0, bytes);
        for (std::int32_t peer = 0; peer < size; ++peer)
          EXPECT_EQ(incoming[static_cast<std::size_t>(peer)],
                    pattern(block_bytes(peer, context.rank), peer, context.rank))
              << bytes << " bytes from rank " << peer << " to " << context.rank;
      }
    }
  });
}

TEST_P(LocalCommunicatorTest, AllGatherDeliversUnevenBlocksInPlaceToo) {
  const std::int32_t size = GetParam();
  run_ranks(size, [size](RankContext& context) {
    const auto communicator = context.communicator();
    for (const std::size_t bytes : kSizes) {
      for (const bool in_place : {false, true}) {
        const Bytes own = pattern(bytes / static_cast<std::size_t>(context.rank + 1), context.rank, 0);
        std::vector<Bytes> incoming;
        std::vector<std::span<std::byte>> receive;
        for (std::int32_t peer = 0; peer < size; ++peer)
          incoming.emplace_back(bytes / static_cast<std::size_t>(peer + 1));
        for (Bytes& block : incoming) receive.emplace_back(block);
        if (in_place) incoming[static_cast<std::size_t>(context.rank)] = own;
        receive[static_cast<std::size_t>(context.rank)] = incoming[static_cast<std::size_t>(context.rank)];
        communicator->all_gather_v(in_place ? incoming[static_cast<std::size_t>(context.rank)] : own, receive);
        for (std::int32_t peer = 0; peer < size; ++peer)
          EXPECT_EQ(incoming[static_cast<std::size_t>(peer)],
                    pattern(bytes / static_cast<std::size_t>(peer + 1), peer, 0));
      }
    }
  });
}

TEST_P(LocalCommunicatorTest, BroadcastReachesAllFromEveryRoot) {
  const std::int32_t size = GetParam();
  run_ranks(size, [size](RankContext& context) {
    const auto communicator = context.communicator();
    for (const std::size_t bytes : kSizes) {
      for (std::int32_t root = 0; root < size; ++root) {
        Bytes data = context.rank == root ? pattern(bytes, root, 0) : Bytes(bytes);
        communicator->broadcast(data.data(), bytes, root);
        EXPECT_EQ(data, pattern(bytes, root, 0));
      }
    }
  });
}

TEST_P(LocalCommunicatorTest, ReduceScatterAddsInRankOrder) {
  const std::int32_t size = GetParam();
  run_ranks(size, [size](RankContext& context) {
    const auto communicator = context.communicator();
    std::vector<std::int64_t> counts;
    for (std::int32_t rank = 0; rank < size; ++rank) counts.push_back(rank == 1 ? 0 : 1000 * rank + 7);
    const std::int64_t total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    std::vector<double> data(static_cast<std::size_t>(total));
    for (std::int64_t i = 0; i < total; ++i) data[static_cast<std::size_t>(i)] = leaf_value<double>(context.rank, i);
    const std::int64_t own_count = counts[static_cast<std::size_t>(context.rank)];
    const std::int64_t begin = std::accumulate(counts.begin(), counts.begin() + context.rank, std::int64_t{0});
    std::vector<double> sums(static_cast<std::size_t>(own_count));
    communicator->reduce_scatter(ReduceType::kF64, data.data(), sums.data(), counts);
    for (std::int64_t i = 0; i < own_count; ++i) {
      double expected = leaf_value<double>(0, begin + i);
      for (std::int32_t rank = 1; rank < size; ++rank) expected += leaf_value<double>(rank, begin + i);
      ASSERT_EQ(sums[static_cast<std::size_t>(i)], expected);
    }
  });
}

TEST_P(LocalCommunicatorTest, AllReduceGivesTheSameBitsOnEveryRank) {
  const std::int32_t size = GetParam();
  run_ranks(size, [size](RankContext& context) {
    const auto communicator = context.communicator();
    for (const std::int64_t count : {0, 1, 1001, 100'003}) {
      for (const bool in_arena : {false, true}) {
        std::vector<float> heap(static_cast<std::size_t>(count));
        float* const data = in_arena ? reinterpret_cast<float*>(context.segment.arena().data()) : heap.data();
        for (std::int64_t i = 0; i < count; ++i) data[i] = leaf_value<float>(context.rank, i);
        communicator->all_reduce(ReduceType::kF32, data, count);
        for (std::int64_t i = 0; i < count; ++i)
          ASSERT_EQ(data[i], node_value<float>(0, size, i)) << i << " of " << count;
      }
    }
  });
}

TEST_P(LocalCommunicatorTest, SendAndReceiveBetweenAllPairs) {
  const std::int32_t size = GetParam();
  run_ranks(size, [size](RankContext& context) {
    const auto communicator = context.communicator();
    for (const std::size_t bytes : kSizes) {
      for (std::int32_t from = 0; from < size; ++from) {
        for (std::int32_t to = 0; to < size; ++to) {
          if (from == to) continue;
          if (context.rank == from) communicator->send(pattern(bytes, from, to).data(), bytes, to);
          Bytes data(bytes);
          if (context.rank != to) continue;
          communicator->receive(data.data(), bytes, from);
          EXPECT_EQ(data, pattern(bytes, from, to));
        }
      }
      double one = 1.0;
      communicator->all_reduce(ReduceType::kF64, &one, 1);  // rounds in between
      EXPECT_EQ(one, size);
    }
  });
}

TEST_P(LocalCommunicatorTest, TreeAllReduceGivesTheBitsOfTheDefinition) {
  const std::int32_t size = GetParam();
  run_ranks(size, [size](RankContext& context) {
    const auto communicator = context.communicator();
    for (const std::int32_t leaves : {size, 5, 8}) {
      const TreeLayout layout = layout_of(leaves, size);
      for (const Where where : {Where::kArena, Where::kHeap, Where::kMixed}) {
        for (const std::int64_t count : {0, 1, 1023, 5000, 50'001}) {
          check_tree<float>(*communicator, context.segment, layout, count, 1024, where);
          if (count <= 20'000) check_tree<double>(*communicator, context.segment, layout, count, 1, where);
        }
      }
    }
  });
}

TEST(LocalCommunicatorTreeTest, LargeSumsAreStreamedWithTheSameBits) {
  const testing::RanksOptions options{.segment = {.arena_bytes = 49 << 20}};
  run_ranks(
      2,
      [](RankContext& context) {
        const auto communicator = context.communicator();
        check_tree<float>(*communicator, context.segment, layout_of(2, 2), (4 << 20) + 13, 1024, Where::kArena);
      },
      options);
}

TEST(LocalCommunicatorTreeTest, ShardsMayLieAnywhere) {
  run_ranks(2, [](RankContext& context) {
    const auto communicator = context.communicator();
    const TreeLayout layout{5, {{{0, 1}, {2, 4}}, {{1, 2}, {4, 5}}}};
    for (const std::int64_t count : {100, 40'000})
      check_tree<float>(*communicator, context.segment, layout, count, 1, Where::kArena);
  });
}

TEST(LocalCommunicatorTreeTest, RanksWithoutShardsTakePart) {
  run_ranks(3, [](RankContext& context) {
    const auto communicator = context.communicator();
    const TreeLayout layout{2, {{{0, 1}}, {}, {{1, 2}}}};
    for (const Where where : {Where::kArena, Where::kHeap})
      for (const std::int64_t count : {100, 40'000})
        check_tree<float>(*communicator, context.segment, layout, count, 1, where);
  });
}

TEST(LocalCommunicatorTreeTest, WorkersBeyondTheCoresStillMeet) {
  run_ranks(9, [](RankContext& context) {
    const auto communicator = context.communicator();
    for (int repeat = 0; repeat < 20; ++repeat)
      check_tree<float>(*communicator, context.segment, layout_of(16, 9), 300, 1, Where::kHeap);
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
          while (true) check_tree<float>(*communicator, context.segment, layout_of(3, 3), 40'000, 1, Where::kArena);
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
          if (context.rank == 1) raise(SIGKILL);
          if (context.rank == 0) communicator->send(&value, sizeof(value), 2);
          if (context.rank == 2) communicator->receive(&value, sizeof(value), 0);
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
          check_tree<float>(*communicator, context.segment, layout_of(5, 2), 40'000, 1, Where::kArena);
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
