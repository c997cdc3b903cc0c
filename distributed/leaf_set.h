// A set of leaves of the fixed tree (logical shards): what a worker holds sums of, what it is to sum.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/tree.h"

namespace convoy::distributed {

inline constexpr std::int32_t kMostLeaves = 65536;

class LeafSet {
 public:
  LeafSet() = default;
  // An empty set out of `leaves` leaves. Throws Error(kInvalidArgument) for more than kMostLeaves.
  explicit LeafSet(std::int32_t leaves);
  // As bytes() gave it; throws Error(kInvalidArgument) for another size, or a leaf that there is not.
  LeafSet(std::int32_t leaves, std::span<const std::byte> bytes);

  std::int32_t leaves() const { return leaves_; }
  bool empty() const { return count() == 0; }
  std::int32_t count() const;
  bool contains(std::int32_t leaf) const;
  void insert(std::int32_t leaf);
  void insert(const Subtree& node);
  // Those of another set out of as many leaves.
  void insert(const LeafSet& other);
  bool overlaps(const LeafSet& other) const;
  // Whether it holds the leaves of this node, and no others.
  bool is(const Subtree& node) const;
  void clear();
  std::vector<std::int32_t> members() const;  // ascending
  // Calls take(leaf) for each, ascending.
  template <class Take>
  void visit(Take take) const {
    for (std::size_t i = 0; i < bits_.size(); ++i) {
      for (auto left = std::to_integer<unsigned>(bits_[i]); left != 0; left &= left - 1)
        take(static_cast<std::int32_t>(8 * i) + std::countr_zero(left));
    }
  }

  // One bit a leaf, byte_size(leaves()) bytes.
  std::span<const std::byte> bytes() const { return bits_; }
  static std::size_t byte_size(std::int32_t leaves) { return (static_cast<std::size_t>(leaves) + 7) / 8; }

  bool operator==(const LeafSet&) const = default;

 private:
  void check(std::int32_t leaf) const;
  void check(const LeafSet& other) const;

  std::int32_t leaves_ = 0;
  std::vector<std::byte> bits_;
};

}  // namespace convoy::distributed
