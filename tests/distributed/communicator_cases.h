// What tests of communicators send and sum, and what they expect of it.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "distributed/communicator.h"

namespace convoy::distributed::testing {

using Bytes = std::vector<std::byte>;

// What rank `from` has for rank `to`.
inline Bytes pattern(std::size_t bytes, std::int32_t from, std::int32_t to) {
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

inline TreeLayout layout_of(std::int32_t leaves, std::int32_t ranks) {
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
void check_tree(Communicator& communicator, std::span<std::byte> arena, const TreeLayout& layout, std::int64_t count,
                std::int64_t granularity, Where where) {
  const auto& subtrees = layout.subtrees[static_cast<std::size_t>(communicator.rank())];
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
  const std::size_t stride = (bytes + 63) / 64 * 64;
  Bytes heap(stride * (subtrees.size() + 1));
  std::byte* const partial_base = where == Where::kHeap ? heap.data() : arena.data();
  ASSERT_LE(heap.size(), arena.size());
  std::vector<const void*> partials;
  for (std::size_t k = 0; k < subtrees.size(); ++k) {
    T* const partial = reinterpret_cast<T*>(partial_base + k * stride);
    for (std::int64_t i = 0; i < count; ++i) partial[i] = node_value<T>(subtrees[k].begin, subtrees[k].end, i);
    partials.push_back(partial);
  }
  const bool result_outside = where == Where::kHeap || (where == Where::kMixed && communicator.rank() % 2 == 1);
  T* const result = reinterpret_cast<T*>((result_outside ? heap.data() : arena.data()) + subtrees.size() * stride);
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

}  // namespace convoy::distributed::testing
