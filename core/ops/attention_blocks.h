// How the attention kernels cut their work: blocks of queries against blocks of keys, and what of a pair of blocks the
// causal mask leaves.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/ops/attention_kernels.h"

namespace convoy::attention_blocks {

constexpr std::int64_t kBlock = 64;              // queries or keys in a block
constexpr std::int64_t kUnit = 16;               // rows of scratch are whole units; every vector length divides it
constexpr std::int64_t kScoreRow = kBlock + 16;  // not a power of two: the rows of a column would share a cache set

constexpr std::int64_t rounded_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }
constexpr std::int64_t blocks_of(std::int64_t time) { return (time + kBlock - 1) / kBlock; }
inline std::int64_t rows_of_block(const AttentionShape& shape, std::int64_t block) {
  return std::min(kBlock, shape.time - block * kBlock);
}

// Elements of a block's [kBlock, depth] matrix, whole units wide, and of its scores.
inline std::int64_t padded_depth(const AttentionShape& shape) { return rounded_up(shape.depth, kUnit); }
inline std::int64_t block_elements(const AttentionShape& shape) { return kBlock * padded_depth(shape); }
constexpr std::int64_t kScores = kBlock * kScoreRow;

// One block of queries against one block of keys; both grids start at time 0, so that a mask cuts only blocks on the
// diagonal.
struct BlockPair {
  std::int64_t queries;  // in the block
  std::int64_t keys;     // in the block
  bool diagonal;         // query i sees the keys j ≤ i of the block only

  BlockPair(const AttentionShape& shape, std::int64_t query_block, std::int64_t key_block)
      : queries(rows_of_block(shape, query_block)),
        keys(rows_of_block(shape, key_block)),
        diagonal(shape.causal && query_block == key_block) {}

  // How many keys some query before `end` sees; the first query that sees key `key`.
  std::int64_t keys_seen_before(std::int64_t end) const { return diagonal ? std::min(keys, end) : keys; }
  std::int64_t first_query_of(std::int64_t key) const { return diagonal ? key : 0; }
};

// How many blocks of keys a block of queries sees.
inline std::int64_t key_blocks_of(const AttentionShape& shape, std::int64_t query_block) {
  return shape.causal ? query_block + 1 : blocks_of(shape.time);
}

// Hands out scratch piece by piece.
template <typename T>
class Scratch {
 public:
  explicit Scratch(T* data) : next_(data) {}
  T* take(std::int64_t elements) {
    T* piece = next_;
    next_ += elements;
    return piece;
  }

 private:
  T* next_;
};

}  // namespace convoy::attention_blocks
