// Gradients for tests of sums over logical shards, and what their sum is by definition.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/philox.h"
#include "distributed/buckets.h"

namespace convoy::distributed::testing {

inline const std::vector<ParameterExtent> kParameters = {{"w", 9000, 0}, {"b", 7, 0}};

// A gradient whose magnitudes differ so much that any other order of summation shows.
inline std::vector<float> shard_gradient(std::int32_t shard, std::size_t parameter) {
  std::vector<float> values(static_cast<std::size_t>(kParameters[parameter].elements));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto bits = philox({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(shard), 0, 0}, mix(parameter));
    values[i] = (uniform_float(bits[0]) - 0.5F) * static_cast<float>(1 << (bits[1] % 20));
  }
  return values;
}

// The definition: a range of leaves splits at the largest power of two below its length.
inline float tree_reference(const std::function<float(std::int32_t)>& leaf, std::int32_t begin, std::int32_t end) {
  if (end - begin == 1) return leaf(begin);
  std::int32_t half = 1;
  while (2 * half < end - begin) half *= 2;
  return tree_reference(leaf, begin, begin + half) + tree_reference(leaf, begin + half, end);
}

}  // namespace convoy::distributed::testing
