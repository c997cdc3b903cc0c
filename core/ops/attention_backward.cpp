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
// keys.

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

using namespace attention_blocks;

// scores[i, j] = left[i, :] · right[:, j], where query i sees key j.
template <typename T>
void score(const T* left, const T* panels, const BlockPair& pair, std::int64_t depth, T* scores, Ahead& ahead) {
  for (std::int64_t j = 0; j < pair.keys; j += kPanel<T>) {
    const Rows<const T> panel{panels + j * depth, kPanel<T>};
    const std::int64_t first = pair.first_query_of(j) / kTileRows * kTileRows;
    for (std::int64_t i = first; i < pair.queries; i += kTileRows) {
      multiply<T>({left + i * depth, depth, 1}, panel, depth, {scores + i * kScoreRow + j, kScoreRow}, pair.queries - i,
                  pair.keys_seen_before(i + kTileRows) - j, false);
      ahead.step();
    }
  }
}

// Turns the scores of a query into probabilities p and the gradient of p into that of the scores; zeros beyond the
// `seen` keys up to a whole unit.
template <typename T>
HWY_INLINE void score_gradients(T* scores, T* gradients, std::int64_t seen, T log_sum, T delta) {
  const Lanes<T> d;
  const auto shift = hn::Set(d, log_sum);
  const auto mean = hn::Set(d, delta);
  for (std::int64_t i = 0; i < rounded_up(seen, kUnit); i += lanes<T>()) {
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
void gather(const T* weights, const T* keys, const BlockPair& pair, std::int64_t width, bool add, T* out) {
  for (std::int64_t column = 0; column < width; column += kPanel<T>) {
    for (std::int64_t i = 0; i < pair.queries; i += kTileRows)
      multiply<T>({weights + i * kScoreRow, kScoreRow, 1}, {keys + column, width}, pair.keys_seen_before(i + kTileRows),
                  {out + i * width + column, width}, pair.queries - i, width - column, add);
  }
}

// sums[j, :] += Σ_i weights[i, j] · values[i, :].
template <typename T>
void scatter(const T* weights, const T* values, const BlockPair& pair, std::int64_t width, T* sums, Ahead& ahead) {
  for (std::int64_t column = 0; column < width; column += kPanel<T>) {
    for (std::int64_t j = 0; j < pair.keys; j += kTileRows) {
      const std::int64_t first = pair.first_query_of(j);
      if (first >= pair.queries) break;
      multiply<T>({weights + first * kScoreRow + j, 1, kScoreRow}, {values + first * width + column, width},
                  pair.queries - first, {sums + j * width + column, width}, pair.keys - j, width - column, true);
      ahead.step();
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

template <typename S, typename T>
class Backward {
 public:
  Backward(const AttentionBackward<S>& heads, const AttentionShape& shape, T* memory)
      : heads_(heads), shape_(shape), width_(padded_depth(shape)) {
    Scratch<T> scratch(memory);
    const std::int64_t block = block_elements(shape);
    for (T** piece :
         {&block_.keys, &block_.key_panels, &block_.value_panels, &block_.dk, &block_.dv, &queries_, &dout_, &other_})
      *piece = scratch.take(block);
    scores_ = scratch.take(kScores);
    gradients_ = scratch.take(kScores);
    deltas_ = scratch.take(shape.group * rounded_up(shape.time, kBlock));
    dq_ = scratch.take(shape.group * blocks_of(shape.time) * block);
  }

  void run() {
    for (std::int64_t index = 0; index < blocks_of(shape_.time); ++index) {
      load_keys(index);
      for (std::int64_t head = 0; head < shape_.group; ++head) {
        for (std::int64_t i = shape_.causal ? index : 0; i < blocks_of(shape_.time); ++i) meet(head, i);
      }
      unpack(block_.dk, index, T{1}, heads_.dk);
      unpack(block_.dv, index, T{1}, heads_.dv);
    }
  }

 private:
  std::int64_t rows_of_block(std::int64_t index) const { return std::min(kBlock, shape_.time - index * kBlock); }
  T* deltas_of(std::int64_t head, std::int64_t block) const {
    return deltas_ + head * rounded_up(shape_.time, kBlock) + block * kBlock;
  }
  void pack(const HeadMatrix<const S>& from, std::int64_t block, double factor, T* to) const {
    pack_rows(from, block * kBlock, rows_of_block(block), shape_.depth, static_cast<T>(factor), to, width_);
  }
  void unpack(const T* from, std::int64_t block, T factor, const HeadMatrix<S>& to) const {
    for (std::int64_t row = 0; row < rows_of_block(block); ++row)
      unpack_row(from + row * width_, shape_.depth, factor, to, block * kBlock + row);
  }

  // Of the queries whose dout is packed.
  void find_deltas(std::int64_t head, std::int64_t block) const {
    pack(heads_.out[head], block, 1, other_);
    for (std::int64_t row = 0; row < rows_of_block(block); ++row)
      deltas_of(head, block)[row] = dot(other_ + row * width_, dout_ + row * width_, width_);
  }

  // What comes after the queries of a block: the next block of the head, else of the next head, else the next keys.
  void look_ahead(std::int64_t head, std::int64_t index, Ahead& ahead) const {
    const auto add = [&](const auto& matrix, std::int64_t block) {
      ahead.add(matrix, block * kBlock, rows_of_block(block), shape_.depth);
    };
    if (++index == blocks_of(shape_.time)) {
      index = shape_.causal ? block_.index : 0;
      ++head;
    }
    if (head < shape_.group) {
      add(heads_.q[head], index);
      add(heads_.dout[head], index);
      if (block_.index == 0) add(heads_.out[head], index);
    } else if (block_.index + 1 < blocks_of(shape_.time)) {
      add(heads_.k, block_.index + 1);
      add(heads_.v, block_.index + 1);
    }
  }

  void load_keys(std::int64_t index) {
    block_.index = index;
    const std::int64_t rows = rows_of_block(index);
    pack(heads_.v, index, 1, other_);
    pack_panels(other_, rows, width_, block_.value_panels);
    pack(heads_.k, index, 1, block_.keys);
    pack_panels(block_.keys, rows, width_, block_.key_panels);
    std::fill_n(block_.dk, block_elements(shape_), T{0});
    std::fill_n(block_.dv, block_elements(shape_), T{0});
  }

  // The scale lies in the packed queries, for the scores and for dk; dq takes it at last.
  void meet(std::int64_t head, std::int64_t index) {
    const BlockPair pair(shape_, index, block_.index);
    const std::int64_t begin = index * kBlock;
    pack(heads_.q[head], index, shape_.scale, queries_);
    pack(heads_.dout[head], index, 1, dout_);
    if (block_.index == 0) find_deltas(head, index);
    Ahead ahead;
    look_ahead(head, index, ahead);
    score(queries_, block_.key_panels, pair, width_, scores_, ahead);
    score(dout_, block_.value_panels, pair, width_, gradients_, ahead);
    const T* const log_sums = heads_.log_sums + head * shape_.time + begin;
    const T* const deltas = deltas_of(head, index);
    for (std::int64_t i = 0; i < pair.queries; ++i)
      score_gradients(scores_ + i * kScoreRow, gradients_ + i * kScoreRow, pair.keys_seen_before(i + 1), log_sums[i],
                      deltas[i]);
    scatter(scores_, dout_, pair, width_, block_.dv, ahead);
    scatter(gradients_, queries_, pair, width_, block_.dk, ahead);
    T* const dq = dq_ + (head * blocks_of(shape_.time) + index) * block_elements(shape_);
    gather(gradients_, block_.keys, pair, width_, block_.index > 0, dq);
    if (block_.index + 1 == key_blocks_of(shape_, index))
      unpack(dq, index, static_cast<T>(shape_.scale), heads_.dq[head]);
  }

  const AttentionBackward<S>& heads_;
  const AttentionShape& shape_;
  std::int64_t width_;
  KeyBlock<T> block_;
  T *queries_, *dout_, *other_, *scores_, *gradients_, *deltas_;
  T* dq_;  // [group, blocks, kBlock, padded depth]
};

void backward_f32(const AttentionBackward<float>& heads, const AttentionShape& shape, float* scratch) {
  Backward<float, float>(heads, shape, scratch).run();
}
void backward_f64(const AttentionBackward<double>& heads, const AttentionShape& shape, double* scratch) {
  Backward<double, double>(heads, shape, scratch).run();
}
void backward_bf16(const AttentionBackward<bfloat16>& heads, const AttentionShape& shape, float* scratch) {
  Backward<bfloat16, float>(heads, shape, scratch).run();
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

std::int64_t attention_backward_scratch(const AttentionShape& shape) {
  using namespace attention_blocks;
  const std::int64_t query_blocks = shape.group * blocks_of(shape.time);
  return (8 + query_blocks) * block_elements(shape) + 2 * kScores + query_blocks * kBlock;
}

void attention_backward_kernel(const AttentionBackward<float>& heads, const AttentionShape& shape, float* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_f32)(heads, shape, scratch);
}
void attention_backward_kernel(const AttentionBackward<double>& heads, const AttentionShape& shape, double* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_f64)(heads, shape, scratch);
}
void attention_backward_kernel(const AttentionBackward<bfloat16>& heads, const AttentionShape& shape, float* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_bf16)(heads, shape, scratch);
}

}  // namespace convoy
#endif
