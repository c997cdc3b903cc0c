#include "core/ops/attention_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/ops/simd.h"
#include "hwy/cache_control.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/attention_kernels.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h: what is compiled once a target.
#include "core/ops/gemm-inl.h"
#include "core/ops/vector-inl.h"
#include "hwy/highway.h"

// Queries are taken in blocks; a block's scores against all the keys it sees lie in scratch. Scratch rows are padded
// to whole vectors, blocks of queries to whole tiles; what lies in the padding is never read into a result.
#ifndef CONVOY_CORE_OPS_ATTENTION_LAYOUT
#define CONVOY_CORE_OPS_ATTENTION_LAYOUT
namespace convoy {
namespace {

constexpr std::int64_t kQueries = 64;   // in a block
constexpr std::int64_t kKeys = 64;      // of values that stay in the first-level cache while a block is multiplied
constexpr std::int64_t kUnit = 16;      // rows of scratch are whole units; every vector length divides it
constexpr std::int64_t kRowsAhead = 8;  // fetched before they are packed
constexpr std::int64_t kMaxPanel = 32;  // columns of a panel at the longest vectors

std::int64_t rounded_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

// Extents of a head's scratch.
struct Extents {
  explicit Extents(const AttentionShape& shape)
      : depth(rounded_up(shape.depth, kUnit)),
        time(rounded_up(shape.time, kMaxPanel)),
        score_row(time + kUnit),  // not a power of two: rows of a column would share a cache set
        keys(time * depth),
        queries(kQueries * depth),
        scores(kQueries * score_row) {}
  std::int64_t depth, time, score_row;
  std::int64_t keys, queries, scores;  // elements of a matrix over all keys, over a block's queries, of both
};

// Hands out a head's scratch piece by piece.
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

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

// Rows [begin, begin + rows) of a matrix, times `factor`, into rows of `width`; zeros right of the matrix and below it
// up to whole tiles.
template <typename T>
void pack_rows(const HeadMatrix<const T>& from, std::int64_t begin, std::int64_t rows, std::int64_t depth, T factor,
               T* to, std::int64_t width) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const T* row = from.data + (begin + i) * from.time_stride;
    T* target = to + i * width;
    if (from.depth_stride == 1) {
      // Rows lie pages apart, where the processor does not look ahead by itself.
      const T* ahead = from.data + (begin + std::min(i + kRowsAhead, rows - 1)) * from.time_stride;
      for (std::int64_t j = 0; j < depth; j += kUnit) hwy::Prefetch(ahead + j);
      for (std::int64_t j = 0; j < depth; ++j) target[j] = row[j] * factor;
    } else {
      for (std::int64_t j = 0; j < depth; ++j) target[j] = row[j * from.depth_stride] * factor;
    }
    std::fill(target + depth, target + width, T{0});
  }
  std::fill(to + rows * width, to + rounded_up(rows, kRowUnit) * width, T{0});
}

// The transpose of packed rows in panels of kPanel columns, each [depth, kPanel]. Columns beyond `time` repeat the
// last.
template <typename T>
void pack_panels(const T* rows, std::int64_t time, std::int64_t depth, std::int64_t width, T* to) {
  const Lanes<T> d;
  const hn::RebindToSigned<Lanes<T>> di;
  using Index = hn::TFromD<decltype(di)>;
  for (std::int64_t begin = 0; begin < time; begin += kPanel<T>, to += depth * kPanel<T>) {
    for (std::int64_t column = 0; column < kPanel<T>; column += lanes<T>()) {
      const std::int64_t last = std::max<std::int64_t>(time - 1 - begin - column, 0);
      const auto nth = hn::Min(hn::Iota(di, 0), hn::Set(di, static_cast<Index>(std::min(last, lanes<T>()))));
      const auto offsets = hn::Mul(nth, hn::Set(di, static_cast<Index>(width)));
      const T* first = rows + std::min(begin + column, time - 1) * width;
      for (std::int64_t j = 0; j < depth; ++j)
        hn::StoreU(hn::GatherIndex(d, first + j, offsets), d, to + j * kPanel<T> + column);
    }
  }
}

template <typename T>
void unpack_rows(const T* from, std::int64_t width, std::int64_t begin, std::int64_t rows, std::int64_t depth, T factor,
                 const HeadMatrix<T>& to) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const T* row = from + i * width;
    T* target = to.data + (begin + i) * to.time_stride;
    for (std::int64_t j = 0; j < depth; ++j) target[j * to.depth_stride] = row[j] * factor;
  }
}

template <typename T>
T dot(const T* a, const T* b, std::int64_t n) {  // n: whole units
  const Lanes<T> d;
  Partials<T> sums;
  for (std::int64_t i = 0; i < n; i += kUnit) {
    for (std::int64_t v = 0; v < Partials<T>::kVectors; ++v) {
      const std::int64_t at = i + v * lanes<T>();
      sums[v] = hn::MulAdd(hn::LoadU(d, a + at), hn::LoadU(d, b + at), sums[v]);
    }
  }
  return sums.total();
}

// Turns the scores of a query into exp(score − largest), zeros beyond the `seen` keys up to a whole unit. Returns the
// sum; `largest` is the largest score.
template <typename T>
T exponentials(T* scores, std::int64_t seen, T& largest) {
  const Lanes<T> d;
  auto most = hn::Set(d, scores[0]);
  std::int64_t i = 0;
  for (; i + lanes<T>() <= seen; i += lanes<T>()) most = hn::Max(most, hn::LoadU(d, scores + i));
  if (i < seen) {
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(seen - i));
    most = hn::Max(most, hn::IfThenElse(mask, hn::LoadU(d, scores + i), most));
  }
  most = hn::MaxOfLanes(d, most);
  largest = hn::GetLane(most);
  Partials<T> sums;
  for (i = 0; i < seen; i += kUnit) {
    for (std::int64_t v = 0; v < Partials<T>::kVectors; ++v) {
      const std::int64_t at = i + v * lanes<T>();
      auto p = exp_of<T>(hn::Sub(hn::LoadU(d, scores + at), most));
      if (at + lanes<T>() > seen) {
        const std::int64_t left = std::max<std::int64_t>(seen - at, 0);
        p = hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(left)), p);
      }
      hn::StoreU(p, d, scores + at);
      sums[v] = hn::Add(sums[v], p);
    }
  }
  return sums.total();
}

// Turns the scores of a query into probabilities p and the gradient of p into the gradient of the scores; zeros beyond
// the `seen` keys up to a whole unit.
template <typename T>
void score_gradients(T* scores, T* gradients, std::int64_t seen, T log_sum, T delta) {
  const Lanes<T> d;
  const auto shift = hn::Set(d, log_sum);
  const auto mean = hn::Set(d, delta);
  for (std::int64_t i = 0; i < rounded_up(seen, kUnit); i += lanes<T>()) {
    auto p = exp_of<T>(hn::Sub(hn::LoadU(d, scores + i), shift));
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

// One block of queries against the keys it sees.
template <typename T>
class QueryBlock {
 public:
  QueryBlock(const AttentionShape& shape, const Extents& extents, std::int64_t begin)
      : shape_(shape), extents_(extents), begin_(begin), rows_(std::min(kQueries, shape.time - begin)) {}

  std::int64_t rows() const { return rows_; }
  // How many keys query `row` of the block sees, and how many some query of a tile or of the block sees.
  std::int64_t seen_by(std::int64_t row) const { return shape_.causal ? begin_ + row + 1 : shape_.time; }
  std::int64_t seen_by_tile(std::int64_t row) const {
    return shape_.causal ? std::min(shape_.time, begin_ + row + kTileRows) : shape_.time;
  }
  std::int64_t seen() const { return seen_by(rows_ - 1); }

  // scores[i, j] = left[i, :] · right[j, :] for the keys seen; right in panels.
  void score(const T* left, const T* panels, T* scores) const {
    const std::int64_t all = seen();
    for (std::int64_t j = 0; j < all; j += kPanel<T>) {
      const Rows<const T> panel{panels + j * shape_.depth, kPanel<T>};
      for (std::int64_t i = 0; i < rows_; i += kTileRows) {
        const std::int64_t columns = std::min(kPanel<T>, seen_by_tile(i) - j);
        if (columns <= 0) continue;
        multiply<T>({left + i * extents_.depth, extents_.depth, 1}, panel, shape_.depth,
                    {scores + i * extents_.score_row + j, extents_.score_row}, rows_ - i, columns, false);
      }
    }
  }

  // out[i, :] = Σ over the keys seen of weights[i, j] · values[j, :].
  void gather(const T* weights, const T* values, T* out) const {
    const std::int64_t all = seen();
    for (std::int64_t j = 0; j < all; j += kKeys) {
      for (std::int64_t column = 0; column < extents_.depth; column += kPanel<T>) {
        const Rows<const T> part{values + j * extents_.depth + column, extents_.depth};
        for (std::int64_t i = 0; i < rows_; i += kTileRows) {
          const std::int64_t keys = std::min(kKeys, seen_by_tile(i) - j);
          if (keys <= 0) continue;
          multiply<T>({weights + i * extents_.score_row + j, extents_.score_row, 1}, part, keys,
                      {out + i * extents_.depth + column, extents_.depth}, rows_ - i, extents_.depth - column, j > 0);
        }
      }
    }
  }

  // sums[j, :] += Σ over the block's queries of weights[i, j] · values[i, :].
  void scatter(const T* weights, const T* values, T* sums) const {
    const std::int64_t all = seen();
    for (std::int64_t column = 0; column < extents_.depth; column += kPanel<T>) {
      for (std::int64_t j = 0; j < all; j += kTileRows) {
        const std::int64_t first = shape_.causal ? std::max<std::int64_t>(0, j - begin_) : 0;  // that sees key j
        multiply<T>({weights + first * extents_.score_row + j, 1, extents_.score_row},
                    {values + first * extents_.depth + column, extents_.depth}, rows_ - first,
                    {sums + j * extents_.depth + column, extents_.depth}, all - j, extents_.depth - column, true);
      }
    }
  }

 private:
  const AttentionShape& shape_;
  const Extents& extents_;
  std::int64_t begin_;
  std::int64_t rows_;
};

template <typename T>
void forward(const AttentionForward<T>& head, const AttentionShape& shape, T* memory) {
  const Extents extents(shape);
  Scratch<T> scratch(memory);
  T* keys = scratch.take(extents.keys);
  T* values = scratch.take(extents.keys);
  T* queries = scratch.take(extents.queries);
  T* out = scratch.take(extents.queries);
  T* scores = scratch.take(extents.scores);
  pack_rows(head.k, 0, shape.time, shape.depth, T{1}, values, extents.depth);
  pack_panels(values, shape.time, shape.depth, extents.depth, keys);
  pack_rows(head.v, 0, shape.time, shape.depth, T{1}, values, extents.depth);
  for (std::int64_t begin = 0; begin < shape.time; begin += kQueries) {
    const QueryBlock<T> block(shape, extents, begin);
    pack_rows(head.q, begin, block.rows(), shape.depth, static_cast<T>(shape.scale), queries, extents.depth);
    block.score(queries, keys, scores);
    T inverse[kQueries];
    for (std::int64_t i = 0; i < block.rows(); ++i) {
      T largest;
      const T sum = exponentials(scores + i * extents.score_row, block.seen_by(i), largest);
      head.log_sums[begin + i] = largest + std::log(sum);
      inverse[i] = T{1} / sum;
    }
    block.gather(scores, values, out);
    for (std::int64_t i = 0; i < block.rows(); ++i)
      unpack_rows(out + i * extents.depth, extents.depth, begin + i, 1, shape.depth, inverse[i], head.out);
  }
}

template <typename T>
void backward(const AttentionBackward<T>& head, const AttentionShape& shape, T* memory) {
  const Extents extents(shape);
  Scratch<T> scratch(memory);
  T* key_panels = scratch.take(extents.keys);
  T* value_panels = scratch.take(extents.keys);
  T* keys = scratch.take(extents.keys);
  T* dk = scratch.take(extents.keys);
  T* dv = scratch.take(extents.keys);
  T* queries = scratch.take(extents.queries);
  T* out = scratch.take(extents.queries);
  T* dout = scratch.take(extents.queries);
  T* dq = scratch.take(extents.queries);
  T* scores = scratch.take(extents.scores);
  T* gradients = scratch.take(extents.scores);
  pack_rows(head.v, 0, shape.time, shape.depth, T{1}, keys, extents.depth);
  pack_panels(keys, shape.time, shape.depth, extents.depth, value_panels);
  pack_rows(head.k, 0, shape.time, shape.depth, T{1}, keys, extents.depth);
  pack_panels(keys, shape.time, shape.depth, extents.depth, key_panels);
  std::fill(dk, dk + extents.keys, T{0});
  std::fill(dv, dv + extents.keys, T{0});
  for (std::int64_t begin = 0; begin < shape.time; begin += kQueries) {
    const QueryBlock<T> block(shape, extents, begin);
    const std::int64_t rows = block.rows();
    pack_rows(head.q, begin, rows, shape.depth, static_cast<T>(shape.scale), queries, extents.depth);
    pack_rows(head.out, begin, rows, shape.depth, T{1}, out, extents.depth);
    pack_rows(head.dout, begin, rows, shape.depth, T{1}, dout, extents.depth);
    block.score(queries, key_panels, scores);
    block.score(dout, value_panels, gradients);
    for (std::int64_t i = 0; i < rows; ++i) {
      const T delta = dot(out + i * extents.depth, dout + i * extents.depth, extents.depth);
      score_gradients(scores + i * extents.score_row, gradients + i * extents.score_row, block.seen_by(i),
                      head.log_sums[begin + i], delta);
    }
    block.gather(gradients, keys, dq);
    block.scatter(gradients, queries, dk);
    block.scatter(scores, dout, dv);
    unpack_rows(dq, extents.depth, begin, rows, shape.depth, static_cast<T>(shape.scale), head.dq);
  }
  unpack_rows(dk, extents.depth, 0, shape.time, shape.depth, T{1}, head.dk);
  unpack_rows(dv, extents.depth, 0, shape.time, shape.depth, T{1}, head.dv);
}

void forward_f32(const AttentionForward<float>& head, const AttentionShape& shape, float* scratch) {
  forward(head, shape, scratch);
}
void forward_f64(const AttentionForward<double>& head, const AttentionShape& shape, double* scratch) {
  forward(head, shape, scratch);
}
void backward_f32(const AttentionBackward<float>& head, const AttentionShape& shape, float* scratch) {
  backward(head, shape, scratch);
}
void backward_f64(const AttentionBackward<double>& head, const AttentionShape& shape, double* scratch) {
  backward(head, shape, scratch);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convoy {

HWY_EXPORT(forward_f32);
HWY_EXPORT(forward_f64);
HWY_EXPORT(backward_f32);
HWY_EXPORT(backward_f64);

std::int64_t attention_forward_scratch(const AttentionShape& shape) {
  const Extents extents(shape);
  return 2 * extents.keys + 2 * extents.queries + extents.scores;
}

std::int64_t attention_backward_scratch(const AttentionShape& shape) {
  const Extents extents(shape);
  return 5 * extents.keys + 4 * extents.queries + 2 * extents.scores;
}

void attention_forward_kernel(const AttentionForward<float>& head, const AttentionShape& shape, float* scratch) {
  HWY_DYNAMIC_DISPATCH(forward_f32)(head, shape, scratch);
}
void attention_forward_kernel(const AttentionForward<double>& head, const AttentionShape& shape, double* scratch) {
  HWY_DYNAMIC_DISPATCH(forward_f64)(head, shape, scratch);
}
void attention_backward_kernel(const AttentionBackward<float>& head, const AttentionShape& shape, float* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_f32)(head, shape, scratch);
}
void attention_backward_kernel(const AttentionBackward<double>& head, const AttentionShape& shape, double* scratch) {
  HWY_DYNAMIC_DISPATCH(backward_f64)(head, shape, scratch);
}

}  // namespace convoy
#endif
