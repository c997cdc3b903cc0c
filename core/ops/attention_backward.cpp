#include <algorithm>

#include "core/ops/attention_blocks.h"
#include "core/ops/attention_kernels.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/attention_backward.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/attention-inl.h"
// clang-format on

// With p the probabilities of the keys, computed again from the log-sums (Dao 2023), and dp the gradient of p:
// ds = p · (dp − Σ out · dout), dq = ds·k, dk = dsᵀ·q, dv = pᵀ·dout. One block of keys at a time meets every block of
// queries that sees it, head after head: dk and dv are finished in scratch, and dq adds up there over the blocks of
// keys, beside the packed queries and dout.
//
// A part of the work, for more threads than heads, is what one block of keys takes for dk and dv and what the block of
// queries of the same number takes for dq: with a causal mask the one is short where the other is long. Probabilities
// are computed for both, but every sum has the same order as in the whole.

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

using namespace attention_blocks;

// scores[i, j] = left[i, :] · right[:, j], where query i sees key j.
template <typename T>
void score(const T* left, const T* panels, const BlockPair& pair, std::int64_t depth, T* scores, Lookahead& ahead) {
  for (std::int64_t j = 0; j < pair.keys; j += kPanel<T>) {
    const Rows<const T> panel{panels + j * depth, kPanel<T>};
    const std::int64_t first = pair.first_query_of(j) / kTileRows * kTileRows;  // of a tile that sees the panel
    for (std::int64_t i = first; i < pair.queries; i += kTileRows) {
      multiply<T>({left + i * depth, depth, 1}, panel, depth, {scores + i * kScoreRow + j, kScoreRow}, pair.queries - i,
                  std::min(kPanel<T>, pair.keys_seen_before(i + kTileRows) - j), false, ahead.take(fetches_of(depth)));
    }
  }
}

// Turns the scores of a query into probabilities p and the gradient of p into that of the scores; zeros beyond the
// `seen` keys up to `reach`, which others of its tile see.
template <typename T>
HWY_INLINE void score_gradients(T* scores, T* gradients, std::int64_t seen, std::int64_t reach, T log_sum, T delta) {
  const Lanes<T> d;
  const auto shift = hn::Set(d, log_sum);
  const auto mean = hn::Set(d, delta);
  for (std::int64_t i = 0; i < reach; i += lanes<T>()) {
    auto p = exp_of_negative<T>(hn::Sub(hn::LoadU(d, scores + i), shift));
    auto g = hn::Mul(p, hn::Sub(hn::LoadU(d, gradients + i), mean));
    if (i + lanes<T>() > seen) {
      const auto mask = hn::FirstN(d, static_cast<std::size_t>(std::max<std::int64_t>(seen - i, 0)));
      p = hn::IfThenElseZero(mask, p);
      g = hn::IfThenElseZero(mask, g);
    }
    hn::StoreU(p, d, scores + i);
    hn::StoreU(g, d, gradients + i);
  }
}

// out[i, :] (+)= Σ_j weights[i, j] · keys[j, :].
template <typename T>
void gather(const T* weights, const T* keys, const BlockPair& pair, std::int64_t width, bool add, T* out,
            Lookahead& ahead) {
  for (std::int64_t column = 0; column < width; column += kPanel<T>) {
    for (std::int64_t i = 0; i < pair.queries; i += kTileRows) {
      const std::int64_t seen = pair.keys_seen_before(i + kTileRows);
      multiply<T>({weights + i * kScoreRow, kScoreRow, 1}, {keys + column, width}, seen,
                  {out + i * width + column, width}, pair.queries - i, width - column, add,
                  ahead.take(fetches_of(seen)));
    }
  }
}

// sums[j, :] += Σ_i weights[i, j] · values[i, :].
template <typename T>
void scatter(const T* weights, const T* values, const BlockPair& pair, std::int64_t width, T* sums, Lookahead& ahead) {
  for (std::int64_t column = 0; column < width; column += kPanel<T>) {
    for (std::int64_t j = 0; j < pair.keys; j += kTileRows) {
      const std::int64_t first = pair.first_query_of(j);
      if (first >= pair.queries) break;
      multiply<T>({weights + first * kScoreRow + j, 1, kScoreRow}, {values + first * width + column, width},
                  pair.queries - first, {sums + j * width + column, width}, pair.keys - j, width - column, true,
                  ahead.take(fetches_of(pair.queries - first)));
    }
  }
}

template <typename T>
T dot(const T* a, const T* b, std::int64_t n) {  // n: whole units
  const Lanes<T> d;
  Partials<T> sums;
  for (std::int64_t i = 0; i < n; i += kUnit) {
    for (std::int64_t v = 0; v < Partials<T>::kVectors; ++v) {
      const std::int64_t at = i + v * lanes<T>();
      sums[v] = hn::MulAdd(hn::Load(d, a + at), hn::Load(d, b + at), sums[v]);
    }
  }
  return sums.total();
}

// What one block of keys holds while queries pass by.
template <typename T>
struct KeyBlock {
  std::int64_t index;
  T *keys, *key_panels, *value_panels, *dk, *dv;
};

// What blocks of queries hold, [group, slots, kBlock, padded depth] and [group, slots, kBlock]: all blocks of each
// head, or one slot for whichever it is.
template <typename T>
struct Queries {
  T *queries, *dout, *dq, *deltas;
};

template <typename S, typename T>
class Backward {
 public:
  Backward(const AttentionBackward<S>& heads, const AttentionShape& shape, std::int64_t slots, T* memory)
      : heads_(heads), shape_(shape), width_(padded_depth(shape)), slots_(slots) {
    Scratch<T> scratch(memory);
    const std::int64_t block = block_elements(shape);
    for (T** piece : {&block_.keys, &block_.key_panels, &block_.value_panels, &block_.dk, &block_.dv, &other_})
      *piece = scratch.take(block);
    scores_ = scratch.take(kScores);
    gradients_ = scratch.take(kScores);
    const std::int64_t query_blocks = shape.group * slots;
    for (T** piece : {&all_.queries, &all_.dout, &all_.dq}) *piece = scratch.take(query_blocks * block);
    all_.deltas = scratch.take(query_blocks * kBlock);
  }

  void run(const AttentionBackward<S>& next) {
    for (const auto& matrix : {next.k, next.v, next.q[0], next.dout[0], next.out[0]})
      fetch_block(matrix, shape_, 0, ahead_.later);
    for (std::int64_t index = 0; index < blocks_of(shape_.time); ++index) {
      load_keys(index);
      for (const auto& matrix : {heads_.dk, heads_.dv}) fetch_block(matrix, shape_, index, ahead_.near);
      for (std::int64_t head = 0; head < shape_.group; ++head) {
        for (std::int64_t i = first_query_block(); i < blocks_of(shape_.time); ++i) {
          if (index == 0) load_queries(head, i);
          look_ahead(head, i);
          meet(head, i);
          add_to_keys(head, i);
          add_to_queries(head, i);
        }
      }
      store_keys();
    }
  }

  void run_part(std::int64_t part) {
    load_keys(part);
    for (std::int64_t head = 0; head < shape_.group; ++head) {
      for (std::int64_t i = first_query_block(); i < blocks_of(shape_.time); ++i) {
        load_queries(head, i);
        meet(head, i);
        add_to_keys(head, i);
      }
    }
    store_keys();
    for (std::int64_t index = 0; index < key_blocks_of(shape_, part); ++index) {
      load_keys(index);
      for (std::int64_t head = 0; head < shape_.group; ++head) {
        if (index == 0) load_queries(head, part);
        meet(head, part);
        add_to_queries(head, part);
      }
    }
  }

 private:
  void pack(const HeadMatrix<const S>& from, std::int64_t block, double factor, T* to) const {
    pack_rows(from, block * kBlock, rows_of_block(shape_, block), shape_.depth, static_cast<T>(factor), to, width_);
  }
  void unpack(const T* from, std::int64_t block, T factor, const HeadMatrix<S>& to) const {
    for (std::int64_t row = 0; row < rows_of_block(shape_, block); ++row)
      unpack_row(from + row * width_, shape_.depth, factor, to, block * kBlock + row);
  }
  std::int64_t first_query_block() const { return shape_.causal ? block_.index : 0; }
  bool is_last_key_block(std::int64_t query_block) const {
    return block_.index + 1 == key_blocks_of(shape_, query_block);
  }
  Queries<T> queries_of(std::int64_t head, std::int64_t block) const {
    const std::int64_t at = head * slots_ + block % slots_;
    const std::int64_t elements = block_elements(shape_);
    return {all_.queries + at * elements, all_.dout + at * elements, all_.dq + at * elements,
            all_.deltas + at * kBlock};
  }

  // The scale lies in the packed queries, for the scores and for dk; dq takes it at last.
  void load_queries(std::int64_t head, std::int64_t index) const {
    const Queries<T> block = queries_of(head, index);
    pack(heads_.q[head], index, shape_.scale, block.queries);
    pack(heads_.dout[head], index, 1, block.dout);
    pack(heads_.out[head], index, 1, other_);
    for (std::int64_t row = 0; row < rows_of_block(shape_, index); ++row)
      block.deltas[row] = dot(other_ + row * width_, block.dout + row * width_, width_);
  }

  void load_keys(std::int64_t index) {
    block_.index = index;
    const std::int64_t rows = rows_of_block(shape_, index);
    pack(heads_.v, index, 1, other_);
    pack_panels(other_, rows, width_, block_.value_panels);
    pack(heads_.k, index, 1, block_.keys);
    pack_panels(block_.keys, rows, width_, block_.key_panels);
    std::fill_n(block_.dk, block_elements(shape_), T{0});
    std::fill_n(block_.dv, block_elements(shape_), T{0});
  }

  // What a block of queries writes, and what comes after it: the next block of the head, else of the next head, else
  // the next keys.
  void look_ahead(std::int64_t head, std::int64_t index) {
    if (is_last_key_block(index)) fetch_block(heads_.dq[head], shape_, index, ahead_.near);
    if (++index == blocks_of(shape_.time)) {
      index = first_query_block();
      ++head;
    }
    if (head == shape_.group) {
      if (block_.index + 1 == blocks_of(shape_.time)) return;
      fetch_block(heads_.k, shape_, block_.index + 1, ahead_.near);
      fetch_block(heads_.v, shape_, block_.index + 1, ahead_.near);
    } else if (block_.index == 0) {
      for (const auto& matrix : {heads_.q[head], heads_.dout[head], heads_.out[head]})
        fetch_block(matrix, shape_, index, ahead_.near);
    }
  }

  // Finds the probabilities of the keys of the block for a block of queries, and the gradients of its scores.
  void meet(std::int64_t head, std::int64_t index) {
    const BlockPair pair(shape_, index, block_.index);
    const Queries<T> block = queries_of(head, index);
    score(block.queries, block_.key_panels, pair, width_, scores_, ahead_);
    score(block.dout, block_.value_panels, pair, width_, gradients_, ahead_);
    const T* const log_sums = heads_.log_sums + head * shape_.time + index * kBlock;
    for (std::int64_t i = 0; i < pair.queries; ++i)
      score_gradients(scores_ + i * kScoreRow, gradients_ + i * kScoreRow, pair.keys_seen_before(i + 1),
                      pair.keys_seen_before((i / kTileRows + 1) * kTileRows), log_sums[i], block.deltas[i]);
  }

  // What follows from them.
  void add_to_keys(std::int64_t head, std::int64_t index) {
    const BlockPair pair(shape_, index, block_.index);
    const Queries<T> block = queries_of(head, index);
    scatter(scores_, block.dout, pair, width_, block_.dv, ahead_);
    scatter(gradients_, block.queries, pair, width_, block_.dk, ahead_);
  }
  void add_to_queries(std::int64_t head, std::int64_t index) {
    const BlockPair pair(shape_, index, block_.index);
    T* const dq = queries_of(head, index).dq;
    gather(gradients_, block_.keys, pair, width_, block_.index > 0, dq, ahead_);
    if (is_last_key_block(index)) unpack(dq, index, static_cast<T>(shape_.scale), heads_.dq[head]);
  }

  void store_keys() const {
    unpack(block_.dk, block_.index, T{1}, heads_.dk);
    unpack(block_.dv, block_.index, T{1}, heads_.dv);
  }

  const AttentionBackward<S>& heads_;
  const AttentionShape& shape_;
  std::int64_t width_, slots_;
  KeyBlock<T> block_;
  Queries<T> all_;
  T *other_, *scores_, *gradients_;
  Lookahead ahead_;
};

void backward_f32(const AttentionBackward<float>& heads, const AttentionBackward<float>& next,
                  const AttentionShape& shape, float* scratch) {
  Backward<float, float>(heads, shape, blocks_of(shape.time), scratch).run(next);
}
void backward_f64(const AttentionBackward<double>& heads, const AttentionBackward<double>& next,
                  const AttentionShape& shape, double* scratch) {
  Backward<double, double>(heads, shape, blocks_of(shape.time), scratch).run(next);
}
void backward_bf16(const AttentionBackward<bfloat16>& heads, const AttentionBackward<bfloat16>& next,
                   const AttentionShape& shape, float* scratch) {
  Backward<bfloat16, float>(heads, shape, blocks_of(shape.time), scratch).run(next);
}
void backward_part_f32(const AttentionBackward<float>& heads, const AttentionShape& shape, std::int64_t part,
                       float* scratch) {
  Backward<float, float>(heads, shape, 1, scratch).run_part(part);
}
void backward_part_f64(const AttentionBackward<double>& heads, const AttentionShape& shape, std::int64_t part,
                       double* scratch) {
  Backward<double, double>(heads, shape, 1, scratch).run_part(part);
}
void backward_part_bf16(const AttentionBackward<bfloat16>& heads, const AttentionShape& shape, std::int64_t part,
                        float* scratch) {
  Backward<bfloat16, float>(heads, shape, 1, scratch).run_part(part);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convoy {

HWY_EXPORT(backward_f32);
HWY_EXPORT(backward_f64);
HWY_EXPORT(backward_bf16);
HWY_EXPORT(backward_part_f32);
HWY_EXPORT(backward_part_f64);
HWY_EXPORT(backward_part_bf16);

namespace {

std::int64_t scratch_of(const AttentionShape& shape, std::int64_t slots) {
  using namespace attention_blocks;
  return (6 + 3 * shape.group * slots) * block_elements(shape) + 2 * kScores + shape.group * slots * kBlock;
}

}  // namespace

std::int64_t attention_backward_parts(const AttentionShape& shape) { return attention_blocks::blocks_of(shape.time); }
std::int64_t attention_backward_scratch(const AttentionShape& shape) {
  return scratch_of(shape, attention_blocks::blocks_of(shape.time));
}
std::int64_t attention_backward_part_scratch(const AttentionShape& shape) { return scratch_of(shape, 1); }

void attention_backward_kernel(const AttentionBackward<float>& heads, const AttentionBackward<float>& next,
                               const AttentionShape& shape, float* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_f32)(heads, next, shape, scratch);
}
void attention_backward_kernel(const AttentionBackward<double>& heads, const AttentionBackward<double>& next,
                               const AttentionShape& shape, double* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_f64)(heads, next, shape, scratch);
}
void attention_backward_kernel(const AttentionBackward<bfloat16>& heads, const AttentionBackward<bfloat16>& next,
                               const AttentionShape& shape, float* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_bf16)(heads, next, shape, scratch);
}

void attention_backward_part(const AttentionBackward<float>& heads, const AttentionShape& shape, std::int64_t part,
                             float* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_part_f32)(heads, shape, part, scratch);
}
void attention_backward_part(const AttentionBackward<double>& heads, const AttentionShape& shape, std::int64_t part,
                             double* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_part_f64)(heads, shape, part, scratch);
}
void attention_backward_part(const AttentionBackward<bfloat16>& heads, const AttentionShape& shape, std::int64_t part,
                             float* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_part_bf16)(heads, shape, part, scratch);
}

}  // namespace convoy
#endif
