// Memory that will be needed soon, fetched into the second-level cache while tiles of products are computed, a cache
// line every few steps: rows that lie pages apart are not what the processor looks ahead to by itself, and a burst of
// fetches would wait for each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace convoy {

// Lines that one tile fetches: this one, then every `step` bytes. Null: nothing.
struct Fetch {
  const std::byte* line = nullptr;
  std::int64_t step = 0;
};

// Blocks of rows, first in, first out. What is added to a full queue is left out, which costs time only.
class FetchQueue {
 public:
  // `rows` rows of `bytes`, `stride` bytes apart, to be read or written.
  void add(const void* data, std::int64_t stride, std::int64_t rows, std::int64_t bytes) {
    if (rows > 0 && bytes > 0 && end_ - next_ < kBlocks)
      blocks_[end_++ % kBlocks] = {static_cast<const std::byte*>(data), stride, rows, (bytes + kLine - 1) / kLine};
  }

  bool empty() const { return next_ == end_; }

  // Not more than `count` lines of what was added first: one line of each of some rows. Not empty.
  Fetch take(std::int64_t count) {
    const Block& block = blocks_[next_ % kBlocks];
    const Fetch fetch{block.data + row_ * block.stride + column_ * kLine, block.stride};
    row_ += count;
    if (row_ >= block.rows) {
      row_ = 0;
      if (++column_ == block.lines) {
        column_ = 0;
        ++next_;
      }
    }
    return fetch;
  }

 private:
  static constexpr std::uint32_t kBlocks = 16;
  static constexpr std::int64_t kLine = 64;
  struct Block {
    const std::byte* data;
    std::int64_t stride, rows, lines;
  };
  Block blocks_[kBlocks];
  std::uint32_t next_ = 0, end_ = 0;
  std::int64_t row_ = 0, column_ = 0;
};

// What is needed next goes before what is needed later.
struct Lookahead {
  FetchQueue near, later;
  Fetch take(std::int64_t count) {
    if (count == 0 || (near.empty() && later.empty())) return {};
    return near.empty() ? later.take(count) : near.take(count);
  }
};

}  // namespace convoy
