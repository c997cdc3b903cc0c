#include "distributed/tree_reduction.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "core/base/error.h"
#include "distributed/solo.h"

namespace convoy::distributed {
namespace {

template <typename T>
T value(std::int32_t leaf, std::int64_t i) {
  return static_cast<T>(
      std::ldexp(std::sin(static_cast<double>(leaf * 977 + i)), static_cast<int>((leaf * 5 + i) % 19)));
}

template <typename T>
T defined_sum(std::int32_t begin, std::int32_t end, std::int64_t i) {
  if (end - begin == 1) return value<T>(begin, i);
  std::int32_t left = 1;
  while (left * 2 < end - begin) left *= 2;
  return defined_sum<T>(begin, begin + left, i) + defined_sum<T>(begin + left, end, i);
}

template <typename T>
void expect_tree_sum(TreeReduction& reduction, std::int32_t leaves, std::int64_t count, Store store) {
  std::vector<std::vector<T>> data;
  std::vector<const void*> operands;
  for (const TreeReduction::Operand& operand : reduction.operands()) {
    const Subtree node =
        reduction.layout().subtrees[static_cast<std::size_t>(operand.rank)][static_cast<std::size_t>(operand.index)];
    data.emplace_back();
    for (std::int64_t i = 0; i < count; ++i) data.back().push_back(defined_sum<T>(node.begin, node.end, i));
  }
  for (const auto& operand : data) operands.push_back(operand.data());
  std::vector<T> out(static_cast<std::size_t>(count) + 1, T{77});
  constexpr ReduceType kType = std::is_same_v<T, float> ? ReduceType::kF32 : ReduceType::kF64;
  reduction.sum(kType, operands, out.data(), count, store);
  flush_streamed_stores();
  for (std::int64_t i = 0; i < count; ++i) {
    const T expected = defined_sum<T>(0, leaves, i);
    ASSERT_EQ(std::memcmp(&out[static_cast<std::size_t>(i)], &expected, sizeof(T)), 0)
        << leaves << " leaves, element " << i;
  }
  EXPECT_EQ(out.back(), T{77}) << "wrote past the end";
}

TEST(TreeReductionTest, SumsHaveTheBitsOfTheDefinition) {
  for (const std::int32_t leaves : {1, 2, 3, 5, 8, 13, 33}) {
    for (const std::int32_t ranks : {1, 2, 3, 7}) {
      TreeLayout layout{leaves, {}};
      for (std::int32_t rank = 0; rank < ranks; ++rank) {
        const Subtree block = block_of(leaves, rank, ranks);
        layout.subtrees.push_back(maximal_subtrees(leaves, block.begin, block.end));
      }
      TreeReduction reduction(layout);
      for (const std::int64_t count : {0, 1, 17, 4096, 9001}) {
        expect_tree_sum<float>(reduction, leaves, count, Store::kCache);
        expect_tree_sum<double>(reduction, leaves, count, Store::kStream);
      }
    }
  }
}

TEST(TreeReductionTest, EveryLeafAsAnOperand) {
  for (std::int32_t leaves = 1; leaves <= 33; ++leaves) {
    TreeLayout layout{leaves, {{}}};
    for (std::int32_t leaf = 0; leaf < leaves; ++leaf) layout.subtrees[0].push_back({leaf, leaf + 1});
    TreeReduction reduction(layout);
    expect_tree_sum<float>(reduction, leaves, 100, Store::kStream);
  }
}

TEST(TreeReductionTest, TheResultMayReplaceAnOperand) {
  TreeReduction reduction(TreeLayout{3, {{{0, 1}}, {{1, 2}}, {{2, 3}}}});
  std::vector<std::vector<double>> data(3, std::vector<double>(5000));
  for (std::int32_t leaf = 0; leaf < 3; ++leaf)
    for (std::int64_t i = 0; i < 5000; ++i)
      data[static_cast<std::size_t>(leaf)][static_cast<std::size_t>(i)] = value<double>(leaf, i);
  const std::vector<const void*> operands{data[0].data(), data[1].data(), data[2].data()};
  reduction.sum(ReduceType::kF64, operands, data[2].data(), 5000, Store::kStream);
  for (std::int64_t i = 0; i < 5000; ++i) ASSERT_EQ(data[2][static_cast<std::size_t>(i)], defined_sum<double>(0, 3, i));
}

TEST(TreeReductionTest, ANegativeZeroAloneStaysOne) {
  TreeReduction reduction(TreeLayout{1, {{{0, 1}}}});
  const float operand = -0.0F;
  float out = 1.0F;
  reduction.sum(ReduceType::kF32, std::vector<const void*>{&operand}, &out, 1, Store::kCache);
  EXPECT_TRUE(std::signbit(out));
}

TEST(TreeReductionTest, RankOrderAddsOneAfterTheOther) {
  TreeReduction reduction = TreeReduction::in_rank_order(4);
  const float values[] = {1e8F, -1e8F, 1.0F, 1e-8F};
  const std::vector<const void*> operands{&values[0], &values[1], &values[2], &values[3]};
  float out = 0.0F;
  reduction.sum(ReduceType::kF32, operands, &out, 1, Store::kCache);
  EXPECT_EQ(out, ((values[0] + values[1]) + values[2]) + values[3]);
}

TEST(TreeReductionTest, SlicesCoverAllElementsAndBeginAtTheGranularity) {
  for (const std::int64_t granularity : {1, 3, 16, 1024}) {
    for (const std::int64_t count : {0, 1, 15, 16, 17, 5000, 1'000'003}) {
      for (const std::int32_t size : {1, 2, 3, 8}) {
        std::int64_t at = 0;
        for (std::int32_t rank = 0; rank < size; ++rank) {
          const ElementSlice slice = slice_of(count, granularity, rank, size);
          EXPECT_EQ(slice.begin, at);
          EXPECT_GE(slice.count(), 0);
          EXPECT_TRUE(slice.count() == 0 || slice.begin % granularity == 0);
          at = slice.end;
        }
        EXPECT_EQ(at, count);
      }
    }
  }
}

TEST(TreeReductionTest, ALayoutWithAHoleIsRefused) {
  EXPECT_THROW(TreeReduction(TreeLayout{4, {{{0, 2}}, {{3, 4}}}}), Error);
}

TEST(SoloCommunicatorTest, FinishesTheTreeByItself) {
  SoloCommunicator communicator;
  const TreeLayout layout{5, {{{0, 2}, {2, 4}, {4, 5}}}};
  std::vector<float> partials[3];
  for (int k = 0; k < 3; ++k)
    for (std::int64_t i = 0; i < 100; ++i)
      partials[k].push_back(defined_sum<float>(layout.subtrees[0][static_cast<std::size_t>(k)].begin,
                                               layout.subtrees[0][static_cast<std::size_t>(k)].end, i));
  std::vector<float> result(100);
  const std::vector<const void*> pointers{partials[0].data(), partials[1].data(), partials[2].data()};
  communicator.tree_all_reduce(ReduceType::kF32, layout, pointers, result.data(), 100, 1);
  for (std::int64_t i = 0; i < 100; ++i) EXPECT_EQ(result[static_cast<std::size_t>(i)], defined_sum<float>(0, 5, i));
}

TEST(SoloCommunicatorTest, FailsOnceAborted) {
  SoloCommunicator communicator;
  double number = 3.0;
  communicator.all_reduce(ReduceType::kF64, &number, 1);
  EXPECT_EQ(number, 3.0);
  communicator.abort();
  EXPECT_THROW(communicator.all_reduce(ReduceType::kF64, &number, 1), Error);
}

}  // namespace
}  // namespace convoy::distributed
