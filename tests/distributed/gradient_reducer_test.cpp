#include "distributed/gradient_reducer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <vector>

#include "core/base/philox.h"
#include "distributed/solo.h"

namespace convoy::distributed {
namespace {

const std::vector<ParameterExtent> kParameters = {{"w", 9000, 0}, {"b", 7, 0}};

// A gradient whose magnitudes differ so much that any other order of summation shows.
std::vector<float> shard_gradient(std::int32_t shard, std::size_t parameter) {
  std::vector<float> values(static_cast<std::size_t>(kParameters[parameter].elements));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto bits = philox({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(shard), 0, 0}, mix(parameter));
    values[i] = (uniform_float(bits[0]) - 0.5F) * static_cast<float>(1 << (bits[1] % 20));
  }
  return values;
}

// The definition: a range of leaves splits at the largest power of two below its length.
float tree_reference(const std::function<float(std::int32_t)>& leaf, std::int32_t begin, std::int32_t end) {
  if (end - begin == 1) return leaf(begin);
  std::int32_t half = 1;
  while (2 * half < end - begin) half *= 2;
  return tree_reference(leaf, begin, begin + half) + tree_reference(leaf, begin + half, end);
}

TEST(GradientReducerTest, SumsShardsAlongTheTree) {
  for (const std::int32_t shards : {1, 2, 3, 5, 8, 13}) {
    const BucketLayout layout(kParameters, 16 << 10);
    GradientReducer reducer(layout, shards, 0, 1);
    std::vector<float> arena(reducer.arena_bytes() / sizeof(float));
    reducer.use_arena(std::as_writable_bytes(std::span(arena)));
    std::vector<std::vector<float>> first;
    for (std::int32_t shard = 0; shard < shards; ++shard) {
      for (std::size_t p = 0; p < kParameters.size(); ++p) reducer.add(shard, p, shard_gradient(shard, p));
      reducer.add_sums(shard, {.loss = 0.1 * shard, .count = 2.0});
      first.push_back(shard_gradient(shard, 0));
    }
    SoloCommunicator communicator;
    const LossSums sums = reducer.reduce(communicator);
    EXPECT_EQ(sums.count, 2.0 * shards);
    EXPECT_NEAR(sums.loss, 0.05 * shards * (shards - 1), 1e-12);
    for (std::size_t i = 0; i < first[0].size(); ++i) {
      const float expected =
          tree_reference([&](std::int32_t shard) { return first[static_cast<std::size_t>(shard)][i]; }, 0, shards);
      ASSERT_EQ(reducer.reduced_data()[static_cast<std::size_t>(layout.offset(0)) + i], expected)
          << shards << " shards, element " << i;
    }
  }
}

TEST(GradientReducerTest, NeedsFewBuffers) {
  const BucketLayout layout(kParameters, 1 << 30);
  const auto buffers = [&](std::int32_t shards, std::int32_t world) {
    return GradientReducer(layout, shards, 0, world).arena_bytes() / static_cast<std::size_t>(layout.elements() * 4);
  };
  EXPECT_EQ(buffers(8, 8), 2U) << "its own gradient and the reduced one";
  EXPECT_EQ(buffers(1, 1), 1U) << "its own gradient is the reduced one";
  EXPECT_EQ(buffers(8, 1), 3U);
  EXPECT_LE(buffers(64, 1), 7U);
}

TEST(SquaredNormTest, DependsOnChunksAndNamesOnly) {
  // The same parameters in two layouts: the cuts differ, the norm must not.
  const BucketLayout one(kParameters, 1 << 30);
  const BucketLayout two(kParameters, 1);
  const auto squares = [](const BucketLayout& layout) {
    std::vector<double> chunks(static_cast<std::size_t>(layout.elements() / kChunkElements));
    for (std::size_t p = 0; p < kParameters.size(); ++p) {
      for (std::int64_t i = 0; i < (kParameters[p].elements + kChunkElements - 1) / kChunkElements; ++i)
        chunks[static_cast<std::size_t>(layout.offset(p) / kChunkElements + i)] =
            1.0 / (3.0 + double(p) + 7.0 * double(i));
    }
    return chunks;
  };
  EXPECT_EQ(squared_norm(one, squares(one)), squared_norm(two, squares(two)));
  EXPECT_GT(squared_norm(one, squares(one)), 0.0);
}

}  // namespace
}  // namespace convoy::distributed
