#include "core/ops/packed_gemm.h"

#include <algorithm>
#include <cmath>

#include "core/device/parallel.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/packed_gemm.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/gelu-inl.h"
#include "core/ops/vector-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

// A tile of the result: kRows × 2 vectors of sums and two of b fill 32 registers (16), so that the multiply-adds keep
// both units busy.
constexpr std::int64_t kRows = HWY_TARGET <= HWY_AVX3 ? 14 : 6;
constexpr std::int64_t kVector = lanes<float>();
constexpr std::int64_t kColumns = 2 * kVector;

constexpr std::int64_t kLongestBlock = 384;   // of k: a packed tile of a stays in the first-level cache
constexpr std::int64_t kTilesOfRows = 8;      // packed together: with its columns of b in the second-level cache
constexpr std::int64_t kStripColumns = 1024;  // of b packed at a time

std::int64_t block_of_k(std::int64_t k) {
  const std::int64_t blocks = std::max<std::int64_t>(1, (k + kLongestBlock - 1) / kLongestBlock);
  return (k + blocks - 1) / blocks;
}

// How many panels are worth a thread.
std::int64_t panel_grain(std::int64_t k) {
  return std::max<std::int64_t>(1, 65536 / (std::max<std::int64_t>(1, k) * kColumns));
}

std::int64_t up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit * unit; }

// --- Packing ------------------------------------------------------------------------------------------------------

// to[l · width + i] = element (i, l) for `count` lanes i (zeros up to `width`) and `length` places l along k; lanes lie
// `lane` apart, places `place`.
template <typename From, typename To>
void interleave(const From* from, std::int64_t lane, std::int64_t place, std::int64_t count, std::int64_t width,
                std::int64_t length, bool round, To* to) {
  if (lane == 1) {
    for (std::int64_t l = 0; l < length; ++l, from += place, to += width) {
      for_vectors<float>(count, [&](auto access, std::int64_t i) HWY_ATTR {
        auto value = access.load(from + i);
        if (round) value = widened(narrowed(value));
        access.store(value, to + i);
      });
      std::fill(to + count, to + width, static_cast<To>(0.0f));
    }
    return;
  }
  // Along k in memory: a few lines of cache of every lane at a time.
  constexpr std::int64_t kBlock = 16;
  alignas(64) float line[kBlock];
  for (std::int64_t first = 0; first < length; first += kBlock) {
    const std::int64_t n = std::min(kBlock, length - first);
    for (std::int64_t i = 0; i < count; ++i) {
      const From* source = from + i * lane + first;
      for_vectors<float>(n, [&](auto access, std::int64_t l) HWY_ATTR {
        auto value = access.load(source + l);
        if (round) value = widened(narrowed(value));
        access.store(value, line + l);
      });
      To* target = to + first * width + i;
      for (std::int64_t l = 0; l < n; ++l) target[l * width] = static_cast<To>(line[l]);
    }
    for (std::int64_t l = 0; l < n; ++l)
      std::fill(to + (first + l) * width + count, to + (first + l + 1) * width, static_cast<To>(0.0f));
  }
}

// Lanes `first`.. and places `begin`.. of an operand whose lanes are its rows (a) or its columns (b).
template <typename To>
void pack(const GemmOperand& x, bool lanes_are_rows, std::int64_t first, std::int64_t count, std::int64_t width,
          std::int64_t begin, std::int64_t length, bool round, To* to) {
  const std::int64_t lane = lanes_are_rows ? x.row : x.column;
  const std::int64_t place = lanes_are_rows ? x.column : x.row;
  const std::int64_t offset = first * lane + begin * place;
  if (x.dtype == DType::kF32) {
    interleave(static_cast<const float*>(x.data) + offset, lane, place, count, width, length, round, to);
  } else {
    interleave(static_cast<const bfloat16*>(x.data) + offset, lane, place, count, width, length, false, to);
  }
}

// --- A tile -------------------------------------------------------------------------------------------------------

// tile = a·b over `length` places, from packed operands.
template <int kTileRows, int kVectors>
HWY_NOINLINE void multiply_tile(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, std::int64_t length,
                                float* HWY_RESTRICT tile) {
  const Lanes<float> d;
  hn::Vec<Lanes<float>> sums[kTileRows][kVectors];
  // Without the pragmas g++ keeps the sums in memory.
#pragma GCC unroll 14
  for (int m = 0; m < kTileRows; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kVectors; ++n) sums[m][n] = hn::Zero(d);
  }
  for (std::int64_t l = 0; l < length; ++l, a += kRows, b += kColumns) {
    hn::Vec<Lanes<float>> line[kVectors];
#pragma GCC unroll 2
    for (int n = 0; n < kVectors; ++n) line[n] = hn::Load(d, b + n * kVector);
#pragma GCC unroll 14
    for (int m = 0; m < kTileRows; ++m) {
      const auto factor = hn::Set(d, a[m]);
#pragma GCC unroll 2
      for (int n = 0; n < kVectors; ++n) sums[m][n] = hn::MulAdd(factor, line[n], sums[m][n]);
    }
  }
#pragma GCC unroll 14
  for (int m = 0; m < kTileRows; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kVectors; ++n) hn::Store(sums[m][n], d, tile + m * kColumns + n * kVector);
  }
}

void multiply(const float* a, const float* b, std::int64_t length, std::int64_t rows, std::int64_t columns,
              float* tile) {
  const bool narrow = columns <= kVector;
  if (rows > 8) {
    narrow ? multiply_tile<kRows, 1>(a, b, length, tile) : multiply_tile<kRows, 2>(a, b, length, tile);
  } else if (rows > 4) {
    constexpr int kMiddle = kRows < 8 ? kRows : 8;
    narrow ? multiply_tile<kMiddle, 1>(a, b, length, tile) : multiply_tile<kMiddle, 2>(a, b, length, tile);
  } else if (rows > 1) {
    narrow ? multiply_tile<4, 1>(a, b, length, tile) : multiply_tile<4, 2>(a, b, length, tile);
  } else {
    narrow ? multiply_tile<1, 1>(a, b, length, tile) : multiply_tile<1, 2>(a, b, length, tile);
  }
}

// What becomes of a tile: added to the blocks before it; behind the last block the bias, the activation, the rounding.
template <typename Out>
class Finish {
 public:
  // Sums of unfinished elements are kept at sums[(row - first_row) · stride + column - first_column].
  Finish(const GemmProblem& p, float* sums, std::int64_t stride) : p_(p), sums_(sums), stride_(stride) {}

  // `at`: where the tile's first sum is kept.
  void run(const float* tile, std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns,
           std::int64_t at, bool first, bool last) const {
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* from = tile + r * kColumns;
      float* sums = sums_ + at + r * stride_;
      const std::int64_t out = (row + r) * p_.n + column;
      for_vectors<float>(columns, [&](auto access, std::int64_t i) HWY_ATTR {
        auto value = access.load(from + i);
        if (!first) value = hn::Add(access.load(sums + i), value);
        if (!last) return access.store(value, sums + i);
        if (p_.bias != nullptr) value = hn::Add(value, access.load(p_.bias + column + i));
        finish(access, value, out + i);
      });
    }
  }

 private:
  template <class Access, class V>
  HWY_INLINE void finish(const Access& access, V value, std::int64_t at) const {
    Out* const y = static_cast<Out*>(p_.y) + at;
    if (p_.activation == Activation::kRelu) {
      value = hn::IfThenZeroElse(hn::Le(value, hn::Zero(Lanes<float>())), value);
    } else if (p_.activation == Activation::kGelu) {
      if (p_.z != nullptr) access.store(value, static_cast<Out*>(p_.z) + at);
      value = hn::Mul(value, gelu_sigmoid<float>(value, hn::Mul(value, value)));
    }
    access.store(value, y);
  }

  const GemmProblem& p_;
  float* sums_;
  std::int64_t stride_;
};

// --- The whole ----------------------------------------------------------------------------------------------------

// Rows [row, row_end) and columns [column, column_end) of the result. `right` holds the strip's panels from column
// `strip` on, f32 or, prepared, bf16.
struct Piece {
  std::int64_t row, row_end, column, column_end;
};

struct Room {
  float *left, *panel, *tile, *sums;
};

template <typename Out, typename Right>
void multiply_piece(const GemmProblem& p, const Piece& piece, const Right* right, std::int64_t strip, const Room& s) {
  const std::int64_t block = block_of_k(p.k);
  const bool round = p.a.dtype == DType::kBF16;
  const bool in_place = std::is_same_v<Out, float>;
  float* const result = static_cast<float*>(p.z != nullptr ? p.z : p.y);
  const Finish<Out> finish(p, in_place ? result : s.sums, in_place ? p.n : kStripColumns);
  std::int64_t begin = 0;
  do {  // once, over nothing, where k is 0: the bias remains
    const std::int64_t length = std::min(block, p.k - begin);
    const bool first = begin == 0, last = begin + length == p.k;
    for (std::int64_t row = piece.row; row < piece.row_end; row += kRows)
      pack(p.a, true, row, std::min(kRows, piece.row_end - row), kRows, begin, length, round,
           s.left + (row - piece.row) * length);
    for (std::int64_t column = piece.column; column < piece.column_end; column += kColumns) {
      const Right* const panel = right + (column - strip) * p.k + begin * kColumns;
      const std::int64_t columns = std::min(kColumns, piece.column_end - column);
      const float* b;
      if constexpr (std::is_same_v<Right, float>) {
        b = panel;
      } else {
        for_vectors<float>(length * kColumns, [&](auto access, std::int64_t i)
                                                  HWY_ATTR { access.store(access.load(panel + i), s.panel + i); });
        b = s.panel;
      }
      for (std::int64_t row = piece.row; row < piece.row_end; row += kRows) {
        const std::int64_t rows = std::min(kRows, piece.row_end - row);
        multiply(s.left + (row - piece.row) * length, b, length, rows, columns, s.tile);
        const std::int64_t at =
            in_place ? row * p.n + column : (row - piece.row) * kStripColumns + column - piece.column;
        finish.run(s.tile, row, rows, column, columns, at, first, last);
      }
    }
    begin += length;
  } while (begin < p.k);
}

void pack_strip(const GemmProblem& p, std::int64_t strip, std::int64_t panel, std::int64_t columns, float* right) {
  const std::int64_t column = strip + panel * kColumns;
  pack(p.b, false, column, std::min(kColumns, strip + columns - column), kColumns, 0, p.k, p.a.dtype == DType::kBF16,
       right + panel * kColumns * p.k);
}

// How a problem is cut up, and how much memory that takes: elements of f32.
struct Cut {
  std::int64_t block, tiles, blocks;     // of k; of rows; of tiles, which threads share out
  std::int64_t strip;                    // of b, packed
  std::int64_t left, panel, tile, sums;  // a thread's own

  Cut(const GemmProblem& p, int threads) : block(block_of_k(p.k)), tiles((p.m + kRows - 1) / kRows) {
    // Enough pieces for all threads; which has no say in the bits.
    blocks = std::min(up((tiles + kTilesOfRows - 1) / kTilesOfRows, threads), tiles);
    const std::int64_t most_rows = (tiles + blocks - 1) / blocks * kRows;
    strip = p.b_is_prepared ? 0 : up(std::min(up(p.n, kColumns), kStripColumns) * p.k, kAligned);
    left = up(most_rows * block, kAligned);
    panel = p.b_is_prepared ? up(block * kColumns, kAligned) : 0;
    tile = up(kRows * kColumns, kAligned);
    sums = p.dtype == DType::kF32 || block == p.k ? 0 : up(most_rows * kStripColumns, kAligned);
  }
  std::int64_t own() const { return left + panel + tile + sums; }

 private:
  static constexpr std::int64_t kAligned = Device::kAlignment / sizeof(float);
};

template <typename Out>
void run(CpuDevice& device, const GemmProblem& p, float* memory) {
  const Cut cut(p, device.threads());
  const bool prepared = p.b_is_prepared;
  float* const right = memory;
  float* const scratch = memory + cut.strip;
  for (std::int64_t strip = 0; strip < p.n; strip += kStripColumns) {
    const std::int64_t columns = std::min(kStripColumns, p.n - strip);
    const std::int64_t panels = (columns + kColumns - 1) / kColumns;
    if (!prepared) {
      parallel_for(device.threads(), panels, panel_grain(p.k), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) pack_strip(p, strip, i, columns, right);
      });
    }
    // Few rows: the columns are shared out as well.
    const std::int64_t parts = std::min<std::int64_t>(panels, cut.blocks >= device.threads() ? 1 : device.threads());
    const std::int64_t pieces = cut.blocks * parts;
    const std::int64_t workers = std::min<std::int64_t>(device.threads(), pieces);
    const auto work = [&](std::int64_t i, float* own) {
      const std::int64_t row_block = i / parts, part = i % parts;
      const Piece piece{.row = cut.tiles * row_block / cut.blocks * kRows,
                        .row_end = std::min(p.m, cut.tiles * (row_block + 1) / cut.blocks * kRows),
                        .column = strip + panels * part / parts * kColumns,
                        .column_end = std::min(p.n, strip + panels * (part + 1) / parts * kColumns)};
      const Room room{.left = own,
                      .panel = own + cut.left,
                      .tile = own + cut.left + cut.panel,
                      .sums = own + cut.left + cut.panel + cut.tile};
      if (prepared) {
        multiply_piece<Out>(p, piece, static_cast<const bfloat16*>(p.b.data) + strip * p.k, strip, room);
      } else {
        multiply_piece<Out>(p, piece, right, strip, room);
      }
    };
    parallel_for(device.threads(), workers, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t worker = first; worker < last; ++worker) {
        for (std::int64_t i = pieces * worker / workers; i < pieces * (worker + 1) / workers; ++i)
          work(i, scratch + worker * cut.own());
      }
    });
  }
}

void run_gemm(CpuDevice& device, const GemmProblem& p, float* scratch) {
  if (p.dtype == DType::kF32) {
    run<float>(device, p, scratch);
  } else {
    run<bfloat16>(device, p, scratch);
  }
}

std::int64_t scratch_of(const CpuDevice& device, const GemmProblem& p) {
  const Cut cut(p, device.threads());
  return cut.strip + device.threads() * cut.own();
}

std::int64_t columns_of_panel() { return kColumns; }

void prepare(CpuDevice& device, std::int64_t k, std::int64_t n, const GemmOperand& b, bfloat16* to) {
  parallel_for(device.threads(), (n + kColumns - 1) / kColumns, panel_grain(k),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   pack(b, false, i * kColumns, std::min(kColumns, n - i * kColumns), kColumns, 0, k, false,
                        to + i * kColumns * k);
                 }
               });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convoy {

HWY_EXPORT(run_gemm);
HWY_EXPORT(scratch_of);
HWY_EXPORT(columns_of_panel);
HWY_EXPORT(prepare);

void packed_gemm(CpuDevice& device, const GemmProblem& problem, float* scratch) {
  if (problem.m == 0 || problem.n == 0) return;
  HWY_DYNAMIC_DISPATCH(run_gemm)(device, problem, scratch);
}

std::int64_t packed_gemm_scratch(const CpuDevice& device, const GemmProblem& problem) {
  return problem.m == 0 || problem.n == 0 ? 0 : HWY_DYNAMIC_DISPATCH(scratch_of)(device, problem);
}

std::size_t panel_bytes(std::int64_t k, std::int64_t n) {
  const std::int64_t columns = HWY_DYNAMIC_DISPATCH(columns_of_panel)();
  return static_cast<std::size_t>((n + columns - 1) / columns * columns * k) * sizeof(bfloat16);
}

void prepare_panels(CpuDevice& device, std::int64_t k, std::int64_t n, const GemmOperand& b, void* panels) {
  HWY_DYNAMIC_DISPATCH(prepare)(device, k, n, b, static_cast<bfloat16*>(panels));
}

}  // namespace convoy
#endif
