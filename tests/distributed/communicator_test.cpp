// What every engine must do, whatever it is made of: one table of tests for all of them.
#include "distributed/communicator.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/base/error.h"
#include "tests/distributed/communicator_cases.h"
#include "tests/distributed/engine_ranks.h"

namespace convoy::distributed {
namespace {

using testing::Bytes;
using testing::check_tree;
using testing::EngineRank;
using testing::EngineRanks;
using testing::layout_of;
using testing::leaf_value;
using testing::node_value;
using testing::pattern;
using testing::run_on;
using testing::Where;

class CommunicatorTest : public ::testing::TestWithParam<EngineRanks> {};
INSTANTIATE_TEST_SUITE_P(Engines, CommunicatorTest, ::testing::ValuesIn(testing::engines_to_test()),
                         [](const auto& ranks) { return ranks.param.engine + std::to_string(ranks.param.size); });

constexpr std::size_t kSizes[] = {0, 1, 4099, (64 << 10) - 1, 1 << 20};

TEST_P(CommunicatorTest, AllToAllDeliversEveryBlock) {
  const std::int32_t size = GetParam().size;
  run_on(GetParam(), [size](EngineRank& context) {
    Communicator* const communicator = context.communicator.get();
    for (const std::size_t bytes : kSizes) {
      for (const bool in_arena : {false, true}) {
        // Uneven: the block from a to b has bytes * (a + 2b) / 9 bytes, none from 0 to 0.
        const auto block_bytes = [bytes](std::int32_t from, std::int32_t to) {
          return bytes * static_cast<std::size_t>(from + 2 * to) / 9;
        };
        std::vector<Bytes> outgoing, incoming;
        std::vector<std::span<const std::byte>> send;
        std::vector<std::span<std::byte>> receive;
        std::byte* arena = context.arena.data();
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
        if (in_arena && context.rank != 1 && bytes > 0) std::memset(context.arena.data(), 0, bytes);
        for (std::int32_t peer = 0; peer < size; ++peer)
          EXPECT_EQ(incoming[static_cast<std::size_t>(peer)],
                    pattern(block_bytes(peer, context.rank), peer, context.rank))
              << bytes << " bytes from rank " << peer << " to " << context.rank;
      }
    }
  });
}

TEST_P(CommunicatorTest, AllGatherDeliversUnevenBlocksInPlaceToo) {
  const std::int32_t size = GetParam().size;
  run_on(GetParam(), [size](EngineRank& context) {
    Communicator* const communicator = context.communicator.get();
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

TEST_P(CommunicatorTest, BroadcastReachesAllFromEveryRoot) {
  const std::int32_t size = GetParam().size;
  run_on(GetParam(), [size](EngineRank& context) {
    Communicator* const communicator = context.communicator.get();
    for (const std::size_t bytes : kSizes) {
      for (std::int32_t root = 0; root < size; ++root) {
        Bytes data = context.rank == root ? pattern(bytes, root, 0) : Bytes(bytes);
        communicator->broadcast(data.data(), bytes, root);
        EXPECT_EQ(data, pattern(bytes, root, 0));
      }
    }
  });
}

TEST_P(CommunicatorTest, ReduceScatterAddsInRankOrder) {
  const std::int32_t size = GetParam().size;
  run_on(GetParam(), [size](EngineRank& context) {
    Communicator* const communicator = context.communicator.get();
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

TEST_P(CommunicatorTest, ReduceScatterWantsASliceForEachRank) {
  run_on(GetParam(), [](EngineRank& context) {
    const std::vector<double> data(8);
    const std::vector<std::int64_t> counts(static_cast<std::size_t>(GetParam().size + 1), 1);
    double sum = 0.0;
    const auto meet_and_scatter = [&] {
      context.communicator->all_reduce(ReduceType::kF64, &sum, 1);  // so that whoever is refused first meets all
      context.communicator->reduce_scatter(ReduceType::kF64, data.data(), &sum, counts);
    };
    EXPECT_THROW(meet_and_scatter(), Error);
  });
}

TEST_P(CommunicatorTest, AllReduceGivesTheSameBitsOnEveryRank) {
  const std::int32_t size = GetParam().size;
  run_on(GetParam(), [size](EngineRank& context) {
    Communicator* const communicator = context.communicator.get();
    for (const std::int64_t count : {0, 1, 1001, 100'003}) {
      for (const bool in_arena : {false, true}) {
        std::vector<float> heap(static_cast<std::size_t>(count));
        float* const data = in_arena ? reinterpret_cast<float*>(context.arena.data()) : heap.data();
        for (std::int64_t i = 0; i < count; ++i) data[i] = leaf_value<float>(context.rank, i);
        communicator->all_reduce(ReduceType::kF32, data, count);
        for (std::int64_t i = 0; i < count; ++i)
          ASSERT_EQ(data[i], node_value<float>(0, size, i)) << i << " of " << count;
      }
    }
  });
}

TEST_P(CommunicatorTest, SendAndReceiveBetweenAllPairs) {
  const std::int32_t size = GetParam().size;
  run_on(GetParam(), [size](EngineRank& context) {
    Communicator* const communicator = context.communicator.get();
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

TEST_P(CommunicatorTest, TreeAllReduceGivesTheBitsOfTheDefinition) {
  const std::int32_t size = GetParam().size;
  run_on(GetParam(), [size](EngineRank& context) {
    Communicator* const communicator = context.communicator.get();
    for (const std::int32_t leaves : {size, 5, 8}) {
      const TreeLayout layout = layout_of(leaves, size);
      for (const Where where : {Where::kArena, Where::kHeap, Where::kMixed}) {
        for (const std::int64_t count : {0, 1, 1023, 5000, 50'001}) {
          check_tree<float>(*communicator, context.arena, layout, count, 1024, where);
          if (count <= 20'000) check_tree<double>(*communicator, context.arena, layout, count, 1, where);
        }
      }
    }
  });
}

}  // namespace
}  // namespace convoy::distributed
