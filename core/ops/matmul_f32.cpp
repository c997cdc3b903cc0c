// The f32 kernel: oneDNN's matmul with plain row-major operands, transposed by strides, or its sgemm.
#include <omp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <utility>

#include "core/base/error.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/matmul_kernels.h"
#include "core/ops/onednn.h"
#include "core/ops/primitive_cache.h"

namespace convoy {
namespace {

// oneDNN splits long inner dimensions over the threads, which changes the order of the sum (seen from 2048 on where
// there are few columns, never below; its own adding to c is no way out, it too rounds as the threads fall). So long
// ones are cut here, at places that only their length decides, and the products added up in turn.
constexpr std::int64_t kLongest = 2032;
constexpr std::int64_t kCutUnit = 16;

// oneDNN has two kernels. matmul() mostly reads operands where they lie; sgemm() packs both, which often pays. Its time
// over that of matmul(), one thread: weight gradients 784×512 over 128 rows 0.77, 384×1152 over 1024 0.92, but 1536×384
// 1.12; products with a transposed weight 2048×1536 over 384 0.89, but 2048×384 over 1152 1.15.
//
// With few rows or columns it splits sums of 384 terms and more over the threads, and with a transposed b it may choose
// by their number how to sum (seen from 8 and from 2 threads on; never, up to 64, where this is true).
bool runs_as_sgemm(const MatmulProblem& p, bool bias) {
  const std::int64_t least = std::min(p.m, p.n);
  if (p.batch != 1 || bias || p.relu || least < 64) return false;
  if (p.transpose_a) return !p.transpose_b && p.m <= 2 * p.n && (p.k < 384 || least >= 384);
  return (!p.transpose_b || p.n > p.k) && (p.k < 384 || (p.k == 384 && least >= 256));
}

// Small results, with their bias and activation, are computed block by block, each by one thread with sgemm(): so
// whatever the length of the sum. 128×512 over 784 with bias and relu in 0.96 of matmul()'s time, over 512 in 0.91.
// Long sums of few rows or columns go this way for their bits: pieces of those oneDNN splits over the threads all the
// same (100×10 over 4096 among sixteen of them, one row with two).
constexpr std::int64_t kSmall = 128 << 10;  // elements: a result that stays in the second-level cache
constexpr std::int64_t kFew = 256;          // rows or columns
constexpr std::int64_t kBlockColumns = 128, kBlockRows = 512;
bool runs_by_blocks(const MatmulProblem& p) {
  if (std::min(p.m, p.n) < kFew && p.k > kLongest) return true;
  return p.batch == 1 && !p.transpose_a && !p.transpose_b && p.k >= 128 && p.k <= kLongest && p.m >= 64 &&
         p.n >= 2 * kBlockColumns && p.m * p.n <= kSmall;
}

enum class Kernel { kMatmul, kSgemm, kSgemmByBlocks };
Kernel kernel_of(const MatmulProblem& p, bool bias) {
  return runs_by_blocks(p) ? Kernel::kSgemmByBlocks : runs_as_sgemm(p, bias) ? Kernel::kSgemm : Kernel::kMatmul;
}

// How far the rows of b lie apart when oneDNN reads them. It reads them in place, down columns: rows a multiple of 2
// KiB apart share so few cache sets that a copy with other strides pays (2048×768 by 768×3072: 2.5 times as fast).
std::int64_t row_of_b(const MatmulProblem& problem) {
  const bool crowded = problem.n > 512 && problem.n % 512 == 0;
  const bool pays = problem.m >= 128 && problem.batch == 1 && !problem.transpose_b;
  return problem.n + (crowded && pays ? 32 : 0);
}

// What a primitive is made for: one piece, of inner length `k`, of a problem.
struct PieceKey {
  MatmulProblem problem;
  std::int64_t k = 0;
  bool bias = false;
  bool operator==(const PieceKey&) const = default;
};

struct Primitive {
  dnnl::matmul primitive;
  dnnl::memory a, b, bias, c, scratch;
  std::array<dnnl_exec_arg_t, 5> arguments;
};

// A device's engine and its primitives.
struct OneDnn {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  PrimitiveCache<PieceKey, Primitive> primitives;
};

dnnl::memory::desc matrix(const MatmulProblem& problem, dnnl::memory::dims dims, dnnl::memory::dims strides) {
  if (problem.batch == 1) {
    dims.erase(dims.begin());
    strides.erase(strides.begin());
  }
  return {dims, dnnl::memory::data_type::f32, strides};
}

Primitive make_primitive(const dnnl::engine& engine, const PieceKey& piece) {
  const MatmulProblem& p = piece.problem;
  using Dims = dnnl::memory::dims;
  const auto a = matrix(p, {p.batch, p.m, piece.k}, p.transpose_a ? Dims{p.m * p.k, 1, p.m} : Dims{p.m * p.k, p.k, 1});
  const auto b =
      matrix(p, {p.batch, piece.k, p.n}, p.transpose_b ? Dims{p.k * p.n, 1, p.k} : Dims{p.k * p.n, row_of_b(p), 1});
  const auto c = matrix(p, {p.batch, p.m, p.n}, {p.m * p.n, p.n, 1});
  const auto bias = piece.bias ? matrix(p, {1, 1, p.n}, {p.n, p.n, 1}) : dnnl::memory::desc();

  dnnl::post_ops after;
  if (p.relu) after.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::matmul::desc description = piece.bias ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c);
  const dnnl::matmul::primitive_desc chosen(description, attributes, engine);

  Primitive ready{.primitive = dnnl::matmul(chosen),
                  .a = dnnl::memory(a, engine, nullptr),
                  .b = dnnl::memory(b, engine, nullptr),
                  .bias = dnnl::memory(bias, engine, nullptr),
                  .c = dnnl::memory(c, engine, nullptr),
                  .scratch = dnnl::memory(chosen.scratchpad_desc(), engine, nullptr),
                  .arguments = {}};
  ready.arguments = {{{DNNL_ARG_SRC, ready.a.get()},
                      {DNNL_ARG_WEIGHTS, ready.b.get()},
                      {DNNL_ARG_DST, ready.c.get()},
                      {DNNL_ARG_SCRATCHPAD, ready.scratch.get()},
                      {DNNL_ARG_BIAS, ready.bias.get()}}};
  return ready;
}

// A transposed a is read down its columns. Where its rows are so long that each lies on a page of its own, strips of
// columns are copied side by side first (50257×768 over 1024: 1.3 times as fast, with the same bits).
constexpr std::int64_t kStrip = 2048;
bool goes_in_strips(const MatmulProblem& p) { return p.transpose_a && p.batch == 1 && p.m >= 4 * kStrip && p.k >= 64; }

std::int64_t piece_length(const MatmulProblem& p) {
  const std::int64_t pieces = (p.k + kLongest - 1) / kLongest;
  if (pieces <= 1 || runs_by_blocks(p)) return p.k;
  const std::int64_t length = (p.k + pieces - 1) / pieces;
  return (length + kCutUnit - 1) / kCutUnit * kCutUnit;
}

// Elements of an operand b whose rows are moved apart.
std::int64_t copied_elements(const MatmulProblem& problem, std::int64_t length) {
  const std::int64_t row = row_of_b(problem);
  return row == problem.n ? 0 : length * row;
}

void check(dnnl_status_t status) {
  if (status != dnnl_success)
    fail(ErrorCode::kInternal, "matmul: oneDNN refused to run with status {}", static_cast<int>(status));
}

}  // namespace

// One primitive, and the memory that it is given beside the operands; or a call of sgemm.
class PreparedMatmul::Piece {
 public:
  Piece(CpuDevice& device, const PieceKey& key, float* copy, Kernel kernel)
      : device_(&device), key_(key), stream_(device.local<OneDnn>().stream.get()), kernel_(kernel), copy_(copy) {
    if (kernel != Kernel::kMatmul) return;
    auto& onednn = device.local<OneDnn>();
    primitive_ = onednn.primitives.find(key, [&] { return make_primitive(onednn.engine, key); });
  }
  std::size_t scratch_bytes() const { return primitive_ == nullptr ? 0 : primitive_->scratch.get_desc().get_size(); }
  void set_scratch(void* scratch) { scratch_ = scratch; }

  void run(const float* a, const float* b, const float* bias, float* c) const {
    if (kernel_ == Kernel::kSgemm) return check(sgemm(key_.problem.m, key_.problem.n, a, b, c));
    if (kernel_ == Kernel::kSgemmByBlocks) return run_by_blocks(a, b, bias, c);
    if (copy_ != nullptr) {
      copy_rows(b);
      b = copy_;
    }
    const Primitive& p = *primitive_;
    point(p.a, a);
    point(p.b, b);
    point(p.c, c);
    point(p.scratch, scratch_);
    if (key_.bias) point(p.bias, bias);
    check(dnnl_primitive_execute(p.primitive.get(), stream_, key_.bias ? 5 : 4, p.arguments.data()));
  }

 private:
  // Of operands that begin at `a` and `b`, into c.
  dnnl_status_t sgemm(std::int64_t rows, std::int64_t columns, const float* a, const float* b, float* c) const {
    const MatmulProblem& p = key_.problem;
    return dnnl_sgemm(p.transpose_a ? 'T' : 'N', p.transpose_b ? 'T' : 'N', rows, columns, key_.k, 1.0F, a,
                      p.transpose_a ? p.m : p.k, b, p.transpose_b ? p.k : p.n, 0.0F, c, p.n);
  }

  void run_by_blocks(const float* a, const float* b, const float* bias, float* c) const {
    const MatmulProblem& p = key_.problem;
    const std::int64_t down = (p.m + kBlockRows - 1) / kBlockRows;
    const std::int64_t across = std::max<std::int64_t>(1, p.n / kBlockColumns);  // the last one has what remains
    std::atomic<dnnl_status_t> status = dnnl_success;
    parallel_for(device_->threads(), p.batch * down * across, 1, [&](std::int64_t begin, std::int64_t end) {
      const OmpThreads one(1);
      for (std::int64_t block = begin; block < end; ++block) {
        const std::int64_t matrix = block / (down * across), i = block / across % down, j = block % across;
        const std::int64_t row = i * kBlockRows, column = j * kBlockColumns;
        const std::int64_t rows = std::min(kBlockRows, p.m - row);
        const std::int64_t columns = j + 1 < across ? kBlockColumns : p.n - column;
        const float* const left = a + matrix * p.m * p.k + row * (p.transpose_a ? 1 : p.k);
        const float* const right = b + matrix * p.k * p.n + column * (p.transpose_b ? p.k : 1);
        float* const result = c + (matrix * p.m + row) * p.n + column;
        const dnnl_status_t one_status = sgemm(rows, columns, left, right, result);
        if (one_status != dnnl_success) status = one_status;
        for (std::int64_t r = 0; (key_.bias || p.relu) && r < rows; ++r) {
          float* const line = result + r * p.n;
          if (key_.bias) add_kernel(line, bias + column, line, columns);
          if (p.relu) relu_forward_kernel(line, line, columns);
        }
      }
    });
    check(status);
  }

  void copy_rows(const float* b) const {
    const std::int64_t columns = key_.problem.n;
    const std::int64_t row = row_of_b(key_.problem);
    parallel_for(device_->threads(), key_.k, row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) std::copy_n(b + i * columns, columns, copy_ + i * row);
    });
  }

  CpuDevice* device_;
  PieceKey key_;
  dnnl_stream_t stream_;
  Kernel kernel_;
  std::shared_ptr<Primitive> primitive_;  // of matmul()
  float* copy_;                           // of b with rows further apart; null: b is read where it is
  void* scratch_ = nullptr;
};

// Rows of the result that are computed together, and the columns of a for them.
struct PreparedMatmul::Strips {
  float* columns;  // [k, kStrip]
  PreparedMatmul whole, rest;
};

PreparedMatmul::PreparedMatmul(CpuDevice& device, Scratch& scratch, const MatmulProblem& problem, bool bias)
    : device_(device), problem_(problem), length_(piece_length(problem)) {
  if (problem.batch == 0 || problem.m == 0 || problem.n == 0 || problem.k == 0) return;
  if (goes_in_strips(problem)) {
    MatmulProblem whole = problem, rest = problem;
    whole.m = kStrip;
    rest.m = problem.m % kStrip;
    float* const columns = scratch.take<float>(problem.k * kStrip);
    strips_.reset(new Strips{columns, {device, scratch, whole, bias}, {device, scratch, rest, bias}});
    return;
  }
  const bool whole = length_ == problem.k;
  if (!whole) {
    problem_.batch = 1;
    product_ = scratch.take<float>(problem.m * problem.n);
  }
  const Kernel kernel = kernel_of(problem_, bias);
  const std::int64_t copied = kernel == Kernel::kMatmul ? copied_elements(problem_, length_) : 0;
  float* const copy = copied == 0 ? nullptr : scratch.take<float>(copied);
  const OmpThreads all(device.threads());
  try {
    std::size_t bytes = 0;
    for (std::int64_t begin = 0; begin < problem.k; begin += length_) {
      PieceKey key{.problem = problem_, .k = std::min(length_, problem.k - begin), .bias = begin == 0 && bias};
      if (!whole) key.problem.relu = false;
      pieces_.emplace_back(device, key, copy, kernel);
      bytes = std::max(bytes, pieces_.back().scratch_bytes());
    }
    void* const room = scratch.take(bytes);  // they run in turn
    for (Piece& piece : pieces_) piece.set_scratch(room);
  } catch (const dnnl::error& error) {
    fail(ErrorCode::kInternal, "matmul: oneDNN refused [{}, {}]·[{}, {}]: {}", problem.m, problem.k, problem.k,
         problem.n, error.what());
  }
  problem_.batch = problem.batch;
}

PreparedMatmul::~PreparedMatmul() = default;
PreparedMatmul::PreparedMatmul(PreparedMatmul&&) noexcept = default;

void PreparedMatmul::run(const float* a, const float* b, const float* bias, float* c) const {
  const MatmulProblem& p = problem_;
  if (strips_ != nullptr) return run_strips(a, b, bias, c);
  if (pieces_.empty()) {
    for (std::int64_t i = 0; i < p.batch * p.m * p.n; ++i) {
      const float value = bias != nullptr ? bias[i % p.n] : 0.0F;
      c[i] = p.relu ? std::max(value, 0.0F) : value;
    }
    return;
  }
  // The setting belongs to the calling thread.
  if (omp_get_max_threads() != device_.threads()) omp_set_num_threads(device_.threads());
  if (pieces_.size() == 1) return pieces_.front().run(a, b, bias, c);
  for (std::int64_t i = 0; i < p.batch; ++i) run_one(a + i * p.m * p.k, b + i * p.k * p.n, bias, c + i * p.m * p.n);
}

void PreparedMatmul::run_strips(const float* a, const float* b, const float* bias, float* c) const {
  const MatmulProblem& p = problem_;
  for (std::int64_t first = 0; first < p.m; first += kStrip) {
    const std::int64_t width = std::min(kStrip, p.m - first);
    parallel_for(device_.threads(), p.k, row_grain(width), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) std::copy_n(a + i * p.m + first, width, strips_->columns + i * width);
    });
    (width == kStrip ? strips_->whole : strips_->rest).run(strips_->columns, b, bias, c + first * p.n);
  }
}

// One product in pieces, which are added up in turn.
void PreparedMatmul::run_one(const float* a, const float* b, const float* bias, float* c) const {
  const MatmulProblem& p = problem_;
  const std::int64_t elements = p.m * p.n;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const std::int64_t begin = static_cast<std::int64_t>(i) * length_;
    const float* const left = a + begin * (p.transpose_a ? p.m : 1);
    const float* const right = b + begin * (p.transpose_b ? 1 : p.n);
    pieces_[i].run(left, right, bias, i == 0 ? c : product_);
    if (i == 0) continue;
    const bool relu = p.relu && i + 1 == pieces_.size();
    parallel_for(device_.threads(), elements, kGrain, [&](std::int64_t from, std::int64_t to) {
      add_kernel(c + from, product_ + from, c + from, to - from);
      if (relu) relu_forward_kernel(c + from, c + from, to - from);
    });
  }
}

std::size_t prepared_matmuls(CpuDevice& device) { return device.local<OneDnn>().primitives.size(); }

}  // namespace convoy
