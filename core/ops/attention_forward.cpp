#include <algorithm>
#include <cmath>

#include "core/ops/attention_blocks.h"
#include "core/ops/attention_kernels.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/attention_forward.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/attention-inl.h"
// clang-format on

// Scores are kept transposed, [keys, queries]: the softmax over keys then runs down the rows, a query a lane, and
// neither product needs a transposed block of keys. A strip holds a few blocks of queries, of one head or of heads of
// the group, so that each block of keys is packed once for all of them.
#ifndef CONVOY_CORE_OPS_ATTENTION_FORWARD_STRIP
#define CONVOY_CORE_OPS_ATTENTION_FORWARD_STRIP
namespace convoy {
namespace {

constexpr std::int64_t kStrip = 4;  // blocks of queries

// The blocks of queries of a strip. Heads vary fastest, so that they see about the same keys.
struct Strip {
  Strip(const AttentionShape& shape, std::int64_t index)
      : first(index * kStrip),
        count(std::min(kStrip, attention_blocks::blocks_of(shape.time) * shape.group - first)),
        group(shape.group) {}
  std::int64_t head_of(std::int64_t b) const { return (first + b) % group; }
  std::int64_t block_of(std::int64_t b) const { return (first + b) / group; }
  std::int64_t first, count, group;
};

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

using namespace attention_blocks;

// A block of queries and its softmax so far.
template <typename T>
struct QueryBlock {
  std::int64_t head, index;
  T* panels;  // [depth, kPanel] each: the scaled queries, transposed
  T* out;     // [kBlock, padded depth]: Σ exp(score − largest) · value
  T* largest;
  T* sum;  // of exp(score − largest)
};

// scores[j, i] = keys[j, :] · queries[:, i], where a query sees a key.
template <typename T>
void score(const T* keys, const T* queries, const BlockPair& pair, std::int64_t depth, T* scores, Lookahead& ahead) {
  for (std::int64_t begin = 0; begin < pair.queries; begin += kPanel<T>) {
    const T* const panel = queries + begin * depth;
    const std::int64_t end = std::min(begin + kPanel<T>, pair.queries);
    const std::int64_t seen = pair.keys_seen_before(end);
    for (std::int64_t j = 0; j < seen; j += kTileRows) {
      const std::int64_t i = std::max(begin, pair.first_query_of(j) / lanes<T>() * lanes<T>());
      multiply<T>({keys + j * depth, depth, 1}, {panel + i - begin, kPanel<T>}, depth,
                  {scores + j * kScoreRow + i, kScoreRow}, pair.keys - j, end - i, false,
                  ahead.take(fetches_of(depth)));
    }
  }
}

// Which keys a vector of queries sees: all of the first `whole`, then some lanes of those before `end`. A tile of
// queries that begins in the vector reads weights up to `reach`.
template <typename T>
struct Seen {
  Seen(const BlockPair& pair, std::int64_t query)
      : reach(pair.keys_seen_before(query + lanes<T>() + kTileRows - 1)),
        end(pair.keys_seen_before(query + lanes<T>())),
        whole(pair.keys_seen_before(query + 1)) {}
  std::int64_t reach, end, whole;
};

template <typename T>
hn::Vec<Lanes<T>> largest_score(const T* scores, const Seen<T>& seen, hn::Vec<Lanes<T>> largest) {
  const Lanes<T> d;
  auto other = largest;
  std::int64_t j = 0;
  for (; j + 2 <= seen.whole; j += 2) {
    largest = hn::Max(largest, hn::LoadU(d, scores + j * kScoreRow));
    other = hn::Max(other, hn::LoadU(d, scores + (j + 1) * kScoreRow));
  }
  largest = hn::Max(largest, other);
  for (; j < seen.end; ++j) {
    const auto value = hn::LoadU(d, scores + j * kScoreRow);
    const auto hidden = hn::FirstN(d, static_cast<std::size_t>(std::max<std::int64_t>(0, j - seen.whole + 1)));
    largest = hn::Max(largest, hn::IfThenElse(hidden, largest, value));
  }
  return largest;
}

// Turns the scores into exp(score − largest), zero where a query does not see the key; adds them to `sum`.
template <typename T>
hn::Vec<Lanes<T>> exponentials(T* scores, const Seen<T>& seen, hn::Vec<Lanes<T>> largest, hn::Vec<Lanes<T>> sum) {
  const Lanes<T> d;
  for (std::int64_t j = 0; j < seen.whole; ++j) {
    const auto p = exp_of_negative<T>(hn::Sub(hn::LoadU(d, scores + j * kScoreRow), largest));
    hn::StoreU(p, d, scores + j * kScoreRow);
    sum = hn::Add(sum, p);
  }
  for (std::int64_t j = seen.whole; j < seen.end; ++j) {
    const auto hidden = hn::FirstN(d, static_cast<std::size_t>(j - seen.whole + 1));
    const auto p = exp_of_negative<T>(hn::Sub(hn::LoadU(d, scores + j * kScoreRow), largest));
    const auto left = hn::IfThenZeroElse(hidden, p);
    hn::StoreU(left, d, scores + j * kScoreRow);
    sum = hn::Add(sum, left);
  }
  for (std::int64_t j = seen.end; j < seen.reach; ++j) hn::StoreU(hn::Zero(d), d, scores + j * kScoreRow);
  return sum;
}

// One step of the online softmax (Milakov & Gimelshein 2018). What was summed under another largest score is scaled.
template <typename T>
void softmax_step(T* scores, const BlockPair& pair, std::int64_t width, bool first, const QueryBlock<T>& block) {
  const Lanes<T> d;
  alignas(64) T factors[kBlock];
  bool scales = false;
  for (std::int64_t i = 0; i < pair.queries; i += lanes<T>()) {
    const Seen<T> seen(pair, i);
    const auto before =
        first ? hn::LoadU(d, scores + i) : hn::Load(d, block.largest + i);  // every query sees a block's first key
    const auto largest = largest_score(scores + i, seen, before);
    const auto factor = exp_of_negative<T>(hn::Sub(before, largest));
    const auto sum = first ? hn::Zero(d) : hn::Mul(hn::Load(d, block.sum + i), factor);
    hn::Store(exponentials(scores + i, seen, largest, sum), d, block.sum + i);
    hn::Store(largest, d, block.largest + i);
    hn::Store(factor, d, factors + i);
    scales = scales || !hn::AllTrue(d, hn::Eq(before, largest));
  }
  if (first || !scales) return;
  for (std::int64_t i = 0; i < pair.queries; ++i) {
    const auto factor = hn::Set(d, factors[i]);
    T* const row = block.out + i * width;
    for (std::int64_t j = 0; j < width; j += lanes<T>()) hn::Store(hn::Mul(hn::Load(d, row + j), factor), d, row + j);
  }
}

// out[i, :] (+)= Σ_j weights[j, i] · values[j, :].
template <typename T>
void gather(const T* weights, const T* values, const BlockPair& pair, std::int64_t width, bool add, T* out,
            Lookahead& ahead) {
  for (std::int64_t column = 0; column < width; column += kPanel<T>) {
    for (std::int64_t i = 0; i < pair.queries; i += kTileRows) {
      const std::int64_t seen = pair.keys_seen_before(i + kTileRows);
      multiply<T>({weights + i, 1, kScoreRow}, {values + column, width}, seen, {out + i * width + column, width},
                  pair.queries - i, width - column, add, ahead.take(fetches_of(seen)));
    }
  }
}

template <typename S, typename T>
void finish(const AttentionForward<S>& heads, const AttentionShape& shape, const QueryBlock<T>& block) {
  const std::int64_t begin = block.index * kBlock;
  const std::int64_t rows = rows_of_block(shape, block.index);
  const std::int64_t width = padded_depth(shape);
  const HeadMatrix<S> out = heads.out[block.head];
  for (std::int64_t i = 0; i < rows; ++i) {
    heads.log_sums[block.head * shape.time + begin + i] = block.largest[i] + std::log(block.sum[i]);
    unpack_row(block.out + i * width, shape.depth, T{1} / block.sum[i], out, begin + i);
  }
}

// The strip's result, and what the next one begins with.
template <typename S>
void look_ahead(const AttentionForward<S>& heads, const AttentionForward<S>& next, const AttentionShape& shape,
                std::int64_t strip, FetchQueue& queue) {
  const auto add = [&](const auto& matrix, std::int64_t block) { fetch_block(matrix, shape, block, queue); };
  const Strip here(shape, strip);
  const Strip there(shape, (strip + 1) % attention_strips(shape));
  for (std::int64_t b = 0; b < here.count; ++b) add(heads.out[here.head_of(b)], here.block_of(b));
  for (std::int64_t b = 0; b < there.count; ++b) add(next.q[there.head_of(b)], there.block_of(b));
  add(next.k, 0);
  add(next.v, 0);
}

template <typename S, typename T>
void forward(const AttentionForward<S>& heads, const AttentionForward<S>& next, const AttentionShape& shape,
             std::int64_t index, T* memory) {
  const std::int64_t width = padded_depth(shape);
  Scratch<T> scratch(memory);
  T* const keys = scratch.take(block_elements(shape));
  T* const values = scratch.take(block_elements(shape));
  T* const scores = scratch.take(kScores);
  const Strip strip(shape, index);
  QueryBlock<T> blocks[kStrip];
  std::int64_t key_blocks = 0;
  for (std::int64_t b = 0; b < strip.count; ++b) {
    QueryBlock<T>& block = blocks[b];
    block = {.head = strip.head_of(b),
             .index = strip.block_of(b),
             .panels = scratch.take(block_elements(shape)),
             .out = scratch.take(block_elements(shape)),
             .largest = scratch.take(kBlock),
             .sum = scratch.take(kBlock)};
    const std::int64_t rows = rows_of_block(shape, block.index);
    pack_rows(heads.q[block.head], block.index * kBlock, rows, shape.depth, static_cast<T>(shape.scale), block.out,
              width);
    pack_panels(block.out, rows, width, block.panels);
    key_blocks = std::max(key_blocks, key_blocks_of(shape, block.index));
  }
  Lookahead ahead;
  look_ahead(heads, next, shape, index, ahead.later);
  for (std::int64_t key_block = 0; key_block < key_blocks; ++key_block) {
    const std::int64_t begin = key_block * kBlock;
    const std::int64_t rows = rows_of_block(shape, key_block);
    pack_rows(heads.k, begin, rows, shape.depth, T{1}, keys, width);
    pack_rows(heads.v, begin, rows, shape.depth, T{1}, values, width);
    if (key_block + 1 < key_blocks) {
      for (const auto& matrix : {heads.k, heads.v}) fetch_block(matrix, shape, key_block + 1, ahead.near);
    }
    for (std::int64_t b = 0; b < strip.count; ++b) {
      if (key_block >= key_blocks_of(shape, blocks[b].index)) continue;
      const BlockPair pair(shape, blocks[b].index, key_block);
      score(keys, blocks[b].panels, pair, width, scores, ahead);
      softmax_step(scores, pair, width, key_block == 0, blocks[b]);
      gather(scores, values, pair, width, key_block > 0, blocks[b].out, ahead);
    }
  }
  for (std::int64_t b = 0; b < strip.count; ++b) finish(heads, shape, blocks[b]);
}

void forward_f32(const AttentionForward<float>& heads, const AttentionForward<float>& next, const AttentionShape& shape,
                 std::int64_t strip, float* scratch) {
  forward(heads, next, shape, strip, scratch);
}
void forward_f64(const AttentionForward<double>& heads, const AttentionForward<double>& next,
                 const AttentionShape& shape, std::int64_t strip, double* scratch) {
  forward(heads, next, shape, strip, scratch);
}
void forward_bf16(const AttentionForward<bfloat16>& heads, const AttentionForward<bfloat16>& next,
                  const AttentionShape& shape, std::int64_t strip, float* scratch) {
  forward(heads, next, shape, strip, scratch);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convoy {

HWY_EXPORT(forward_f32);
HWY_EXPORT(forward_f64);
HWY_EXPORT(forward_bf16);

std::int64_t attention_strips(const AttentionShape& shape) {
  return (attention_blocks::blocks_of(shape.time) * shape.group + kStrip - 1) / kStrip;
}

std::int64_t attention_forward_scratch(const AttentionShape& shape) {
  using namespace attention_blocks;
  return (2 + 2 * kStrip) * block_elements(shape) + kScores + 2 * kStrip * kBlock;
}

void attention_forward_kernel(const AttentionForward<float>& heads, const AttentionForward<float>& next,
                              const AttentionShape& shape, std::int64_t strip, float* scratch) {
  HWY_DYNAMIC_DISPATCH(forward_f32)(heads, next, shape, strip, scratch);
}
void attention_forward_kernel(const AttentionForward<double>& heads, const AttentionForward<double>& next,
                              const AttentionShape& shape, std::int64_t strip, double* scratch) {
  HWY_DYNAMIC_DISPATCH(forward_f64)(heads, next, shape, strip, scratch);
}
void attention_forward_kernel(const AttentionForward<bfloat16>& heads, const AttentionForward<bfloat16>& next,
                              const AttentionShape& shape, std::int64_t strip, float* scratch) {
  HWY_DYNAMIC_DISPATCH(forward_bf16)(heads, next, shape, strip, scratch);
}

}  // namespace convoy
#endif
