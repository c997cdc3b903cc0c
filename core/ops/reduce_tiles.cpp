#include "core/ops/reduce_tiles.h"

#include <algorithm>

#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/reduce_kernels.h"

namespace convoy {
namespace {

// Rounded once from what sums are computed in.
template <typename C>
void store(C sum, DType to, void* output, std::int64_t index) {
  if (to == DType::kBF16) {
    static_cast<bfloat16*>(output)[index] = static_cast<bfloat16>(sum);
  } else {
    static_cast<C*>(output)[index] = sum;
  }
}

// A piece is a stretch of a row.
template <typename T>
class RowSums final : public TileReduction {
 public:
  RowSums(DType to, std::int64_t outer, std::int64_t extent)
      : to_(to),
        outer_(outer),
        extent_(extent),
        stretches_(std::max<std::int64_t>(1, (extent + kRowSumStretch - 1) / kRowSumStretch)) {}
  std::int64_t pieces() const override { return outer_ * stretches_; }
  std::int64_t partials() const override { return pieces(); }

  void run_piece(std::int64_t piece, TileSource& source, double* partials, void*) const override {
    const std::int64_t from = piece % stretches_ * kRowSumStretch;
    const std::int64_t count = std::min(kRowSumStretch, extent_ - from);
    double total = 0;
    for (std::int64_t i = 0; i < count; i += kMostTile) {
      const std::int64_t tile = std::min(kMostTile, count - i);
      const auto* x = static_cast<const T*>(source.read(piece / stretches_ * extent_ + from + i, tile));
      for (std::int64_t k = 0; k < tile; k += kRowSumBlock) {
        double sum = 0;
        row_sums_kernel(x + k, 1, std::min(kRowSumBlock, tile - k), &sum);
        total += sum;
      }
    }
    partials[piece] = total;
  }

  void finish(const double* partials, void* output) const override {
    for (std::int64_t row = 0; row < outer_; ++row) {
      double sum = 0;
      for (std::int64_t i = 0; i < stretches_; ++i) sum += partials[row * stretches_ + i];
      store(static_cast<Compute<T>>(sum), to_, output, row);
    }
  }

 private:
  static_assert(kMostTile % kRowSumBlock == 0 && kRowSumStretch % kMostTile == 0);
  DType to_;
  std::int64_t outer_, extent_, stretches_;
};

// A piece is a strip of columns.
template <typename T>
class ColumnSums final : public TileReduction {
 public:
  ColumnSums(DType to, std::int64_t outer, std::int64_t extent, std::int64_t inner)
      : to_(to),
        outer_(outer),
        extent_(extent),
        inner_(inner),
        width_(inner <= kMostStrip ? inner : kStrip),
        strips_((inner + width_ - 1) / width_) {}
  std::int64_t pieces() const override { return outer_ * strips_; }
  std::int64_t partials() const override { return 0; }

  void run_piece(std::int64_t piece, TileSource& source, double*, void* output) const override {
    const std::int64_t outer = piece / strips_, column = piece % strips_ * width_;
    const std::int64_t width = std::min(width_, inner_ - column);
    // Rows that lie one behind the other are read together.
    const std::int64_t rows_of_tile = strips_ == 1 ? kMostTile / width : 1;
    double total[kMostStrip] = {};
    for (std::int64_t begin = 0; begin < extent_; begin += kColumnSumBlock) {
      Compute<T> block[kMostStrip] = {};
      const std::int64_t end = std::min(extent_, begin + kColumnSumBlock);
      for (std::int64_t row = begin; row < end; row += rows_of_tile) {
        const std::int64_t rows = std::min(rows_of_tile, end - row);
        const auto* x = static_cast<const T*>(source.read((outer * extent_ + row) * inner_ + column, rows * width));
        for (std::int64_t k = 0; k < rows; ++k) accumulate_kernel(x + k * width, block, width);
      }
      for (std::int64_t i = 0; i < width; ++i) total[i] += static_cast<double>(block[i]);
    }
    for (std::int64_t i = 0; i < width; ++i)
      store(static_cast<Compute<T>>(total[i]), to_, output, outer * inner_ + column + i);
  }

  void finish(const double*, void*) const override {}

 private:
  static constexpr std::int64_t kMostStrip = 512, kStrip = 256;
  DType to_;
  std::int64_t outer_, extent_, inner_, width_, strips_;
};

}  // namespace

std::unique_ptr<TileReduction> sum_by_tiles(DType from, DType to, std::int64_t outer, std::int64_t extent,
                                            std::int64_t inner) {
  std::unique_ptr<TileReduction> sums;
  with_floating(from, [&](auto zero) {
    using T = decltype(zero);
    if (inner == 1) {
      sums = std::make_unique<RowSums<T>>(to, outer, extent);
    } else if (inner > 1) {
      sums = std::make_unique<ColumnSums<T>>(to, outer, extent, inner);
    }
  });
  return sums;
}

}  // namespace convoy
