// Bytes that lie in several places, taken as if they lay in one; and how pieces of them travel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace convoy::worker {

using Parts = std::vector<std::span<const std::byte>>;
using Destination = std::vector<std::span<std::byte>>;

// Of a plain value.
template <class Value>
std::span<std::byte> bytes_of(Value& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

// What an answer's total says where there is nothing to give.
inline constexpr std::int64_t kNeverHere = -1;
inline constexpr std::int64_t kNotHereYet = -2;  // the donor has yet to hear of the epoch: ask again in a moment

template <class Byte>
std::int64_t total_bytes(const std::vector<std::span<Byte>>& parts) {
  std::size_t total = 0;
  for (const auto& part : parts) total += part.size();
  return static_cast<std::int64_t>(total);
}

// Calls take(span) for the parts of [offset, offset + bytes) in order, until one call returns false.
template <class Byte, class Take>
void visit_range(const std::vector<std::span<Byte>>& parts, std::int64_t offset, std::int64_t bytes, Take take) {
  auto skip = static_cast<std::size_t>(offset);
  auto left = static_cast<std::size_t>(bytes);
  for (const auto& part : parts) {
    if (left == 0) return;
    if (skip >= part.size()) {
      skip -= part.size();
      continue;
    }
    const auto taken = part.subspan(skip, std::min(left, part.size() - skip));
    skip = 0;
    left -= taken.size();
    if (!take(taken)) return;
  }
}

}  // namespace convoy::worker
