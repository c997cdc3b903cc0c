#include "core/ops/native_gemm.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "core/base/error.h"
#include "core/device/parallel.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/onednn.h"
#include "core/ops/primitive_cache.h"

namespace convoy {
namespace {

using Dims = dnnl::memory::dims;
using DataType = dnnl::memory::data_type;

constexpr std::int64_t kRows = 128;      // of a piece: enough to read a strip of weights for
constexpr std::int64_t kColumns = 1024;  // of a piece, and of a strip of a prepared operand

std::size_t up(std::size_t bytes) { return (bytes + Device::kAlignment - 1) / Device::kAlignment * Device::kAlignment; }

DataType type_of(DType dtype) { return dtype == DType::kBF16 ? DataType::bf16 : DataType::f32; }

// What a primitive is made for.
struct Piece {
  std::int64_t rows, columns, k;
  std::int64_t a_row, a_column;
  std::int64_t b_row, b_column;  // 0: prepared
  std::int64_t y_row;
  bool bias, relu, bf16;

  bool operator==(const Piece&) const = default;
};

// A primitive, and for each thread the arguments that it is called with.
class Primitive {
 public:
  Primitive(const dnnl::engine& engine, const Piece& piece, const dnnl::memory::desc& b, int threads) {
    const dnnl::memory::desc a({piece.rows, piece.k}, DataType::bf16, Dims{piece.a_row, piece.a_column});
    const dnnl::memory::desc y({piece.rows, piece.columns}, piece.bf16 ? DataType::bf16 : DataType::f32,
                               Dims{piece.y_row, 1});
    const dnnl::memory::desc bias({1, piece.columns}, DataType::f32, Dims{piece.columns, 1});
    dnnl::post_ops after;
    if (piece.relu) after.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(after);
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc chosen(
        piece.bias ? dnnl::matmul::desc(a, b, bias, y) : dnnl::matmul::desc(a, b, y), attributes, engine);
    primitive_ = dnnl::matmul(chosen);
    blocked_ = chosen.weights_desc();
    scratch_bytes_ = up(chosen.scratchpad_desc().get_size());
    stream_ = dnnl::stream(engine);
    const auto unbound = [&](const dnnl::memory::desc& desc) { return dnnl::memory(desc, engine, nullptr); };
    for (int i = 0; i < threads; ++i) {
      calls_.push_back(
          {.a = unbound(a), .bias = unbound(bias), .y = unbound(y), .scratch = unbound(chosen.scratchpad_desc())});
    }
  }

  const dnnl::memory::desc& blocked() const { return blocked_; }
  std::size_t scratch_bytes() const { return scratch_bytes_; }

  // b: a memory of blocked() that several threads may read.
  dnnl_status_t run(int thread, const void* a, dnnl_memory_t b, const float* bias, const void* y,
                    const void* scratch) const {
    const Call& call = calls_[static_cast<std::size_t>(thread)];
    point(call.a, a);
    point(call.bias, bias);
    point(call.y, y);
    point(call.scratch, scratch);
    const std::array<dnnl_exec_arg_t, 5> arguments{{{DNNL_ARG_SRC, call.a.get()},
                                                    {DNNL_ARG_WEIGHTS, b},
                                                    {DNNL_ARG_DST, call.y.get()},
                                                    {DNNL_ARG_SCRATCHPAD, call.scratch.get()},
                                                    {DNNL_ARG_BIAS, call.bias.get()}}};
    return dnnl_primitive_execute(primitive_.get(), stream_.get(), bias != nullptr ? 5 : 4, arguments.data());
  }

 private:
  struct Call {
    dnnl::memory a, bias, y, scratch;
  };
  dnnl::matmul primitive_;
  dnnl::memory::desc blocked_;
  std::size_t scratch_bytes_ = 0;
  dnnl::stream stream_;
  std::vector<Call> calls_;
};

// Of a strip of weights, from how it lies in memory into blocks.
struct ReorderKey {
  std::int64_t k, columns, row, column;
  DType dtype;

  bool operator==(const ReorderKey&) const = default;
};

class Reorder {
 public:
  Reorder(const dnnl::engine& engine, const ReorderKey& key, const dnnl::memory::desc& blocked)
      : from_({{key.k, key.columns}, type_of(key.dtype), Dims{key.row, key.column}}, engine, nullptr),
        to_(blocked, engine, nullptr),
        primitive_(from_, to_),
        stream_(engine) {}

  void run(const void* from, const void* to) const {
    point(from_, from);
    point(to_, to);
    const std::array<dnnl_exec_arg_t, 2> list{{{DNNL_ARG_FROM, from_.get()}, {DNNL_ARG_TO, to_.get()}}};
    const dnnl_status_t status = dnnl_primitive_execute(primitive_.get(), stream_.get(), 2, list.data());
    if (status != dnnl_success)
      fail(ErrorCode::kInternal, "matmul: oneDNN refused to reorder with status {}", static_cast<int>(status));
  }

 private:
  dnnl::memory from_, to_;
  dnnl::reorder primitive_;
  dnnl::stream stream_;
};

// A device's engine and its primitives.
struct Products {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  PrimitiveCache<Piece, Primitive> primitives;
  PrimitiveCache<ReorderKey, Reorder> reorders;
  std::map<std::array<std::int64_t, 2>, dnnl::memory::desc> blocks;

  std::shared_ptr<const Primitive> find(const Piece& piece, int threads) {
    return primitives.find(piece, [&] {
      const OmpThreads one(1);
      const dnnl::memory::desc b = piece.b_row == 0 ? blocks_of(piece.k, piece.columns)
                                                    : dnnl::memory::desc({piece.k, piece.columns}, DataType::bf16,
                                                                         Dims{piece.b_row, piece.b_column});
      return Primitive(engine, piece, b, threads);
    });
  }

  std::shared_ptr<const Reorder> find(const ReorderKey& key) {
    return reorders.find(key, [&] { return Reorder(engine, key, blocks_of(key.k, key.columns)); });
  }

  // How a strip of a prepared operand lies in memory: as products of most rows like it, and the same for all others.
  const dnnl::memory::desc& blocks_of(std::int64_t k, std::int64_t columns) {
    const std::array key{k, columns};
    if (const auto found = blocks.find(key); found != blocks.end()) return found->second;
    const OmpThreads one(1);
    const Piece piece{.rows = kRows,
                      .columns = columns,
                      .k = k,
                      .a_row = k,
                      .a_column = 1,
                      .b_row = 0,
                      .b_column = 0,
                      .y_row = columns,
                      .bias = false,
                      .relu = false,
                      .bf16 = true};
    const dnnl::memory::desc any({k, columns}, DataType::bf16, dnnl::memory::format_tag::any);
    return blocks.emplace(key, Primitive(engine, piece, any, 0).blocked()).first->second;
  }
};

const std::byte* element(const void* data, DType dtype, std::int64_t index) {
  return static_cast<const std::byte*>(data) + index * static_cast<std::int64_t>(size_of(dtype));
}

void store(const float* from, bfloat16* to, std::int64_t n) { convert_kernel(from, to, n); }
void store(const float* from, float* to, std::int64_t n) { std::copy_n(from, n, to); }

// z and y = gelu(z) from a piece's sums [rows, columns], which are used up; z may be null. Rounds each once.
template <typename T>
void finish_gelu(float* sums, std::int64_t rows, std::int64_t columns, std::int64_t stride, T* z, T* y) {
  for (std::int64_t i = 0; i < rows; ++i, sums += columns) {
    if (z != nullptr) store(sums, z + i * stride, columns);
    gelu_forward_kernel(sums, sums, columns);
    store(sums, y + i * stride, columns);
  }
}

template <typename Body>
auto guarded(std::int64_t k, std::int64_t n, const Body& body) {
  try {
    return body();
  } catch (const dnnl::error& error) {
    fail(ErrorCode::kInternal, "matmul: oneDNN refused bf16 by [{}, {}]: {}", k, n, error.what());
  }
}

}  // namespace

struct NativeForm::Strip {
  std::int64_t first_element;  // in memory
  std::size_t begin;           // in the form
  DType dtype;
  std::shared_ptr<const Reorder> reorder;
};

NativeForm::NativeForm(CpuDevice& device, std::int64_t k, std::int64_t n, const GemmOperand& b) : device_(device) {
  if (k == 0) return;
  guarded(k, n, [&] {
    auto& products = device.local<Products>();
    const OmpThreads all(device.threads());
    for (std::int64_t column = 0; column < n; column += kColumns) {
      const std::int64_t columns = std::min(kColumns, n - column);
      const ReorderKey key{.k = k, .columns = columns, .row = b.row, .column = b.column, .dtype = b.dtype};
      strips_.push_back({column * b.column, bytes_, b.dtype, products.find(key)});
      bytes_ += up(products.blocks_of(k, columns).get_size());
    }
  });
}

NativeForm::~NativeForm() = default;
NativeForm::NativeForm(NativeForm&&) noexcept = default;

void NativeForm::make(const void* b, void* form) const {
  const OmpThreads all(device_.threads());
  for (const Strip& strip : strips_)
    strip.reorder->run(element(b, strip.dtype, strip.first_element), static_cast<std::byte*>(form) + strip.begin);
}

// The pieces of a result [m, n]: rows share a primitive but for the last ones, and columns too.
class NativeGemm::Grid {
 public:
  Grid(CpuDevice& device, Scratch& scratch, const GemmProblem& p)
      : down_((p.m + kRows - 1) / kRows),
        across_((p.n + kColumns - 1) / kColumns),
        gelu_(p.activation == Activation::kGelu),
        prepared_(p.b_is_prepared) {
    auto& products = device.local<Products>();
    for (const bool last_row : {false, true}) {
      for (const bool last_column : {false, true}) {
        const std::int64_t columns = columns_of(p, last_column ? across_ - 1 : 0);
        const Piece piece{.rows = rows_of(p, last_row ? down_ - 1 : 0),
                          .columns = columns,
                          .k = p.k,
                          .a_row = p.a.row,
                          .a_column = p.a.column,
                          .b_row = prepared_ ? 0 : p.b.row,
                          .b_column = prepared_ ? 0 : p.b.column,
                          .y_row = gelu_ ? columns : p.n,
                          .bias = p.bias != nullptr,
                          .relu = p.activation == Activation::kRelu,
                          .bf16 = !gelu_ && p.dtype == DType::kBF16};
        primitives_[last_row][last_column] = products.find(piece, device.threads());
        scratch_bytes_ = std::max(scratch_bytes_, primitives_[last_row][last_column]->scratch_bytes());
      }
    }
    if (gelu_) sums_bytes_ = up(static_cast<std::size_t>(rows_of(p, 0) * columns_of(p, 0)) * sizeof(float));
    strip_bytes_ = prepared_ ? up(products.blocks_of(p.k, columns_of(p, 0)).get_size()) : 0;
    for (std::int64_t j = 0; j < across_; ++j)
      strips_.emplace_back(primitives_[0][j + 1 == across_]->blocked(), products.engine, nullptr);
    status_.resize(static_cast<std::size_t>(std::min<std::int64_t>(device.threads(), down_ * across_)));
    scratch_ = scratch.take<std::byte>(static_cast<std::int64_t>(status_.size() * (sums_bytes_ + scratch_bytes_)));
  }

  void run(CpuDevice& device, const GemmProblem& p) {
    for (std::int64_t j = 0; j < across_; ++j) {
      point(strips_[static_cast<std::size_t>(j)],
            prepared_ ? static_cast<const std::byte*>(p.b.data) + static_cast<std::size_t>(j) * strip_bytes_
                      : element(p.b.data, DType::kBF16, j * kColumns * p.b.column));
    }
    std::fill(status_.begin(), status_.end(), dnnl_success);
    {
      const OmpThreads one(1);
      parallel_for(device.threads(), down_ * across_, 1, [&](std::int64_t begin, std::int64_t end) {
        const auto thread = static_cast<std::size_t>(omp_get_thread_num());
        std::byte* const own = scratch_ + thread * (sums_bytes_ + scratch_bytes_);
        for (std::int64_t i = begin; i < end && status_[thread] == dnnl_success; ++i)
          status_[thread] = run_piece(p, i, static_cast<int>(thread), own);
      });
    }
    for (const dnnl_status_t each : status_) {
      if (each != dnnl_success)
        fail(ErrorCode::kInternal, "matmul: oneDNN refused to run with status {}", static_cast<int>(each));
    }
  }

 private:
  static std::int64_t rows_of(const GemmProblem& p, std::int64_t i) { return std::min(kRows, p.m - i * kRows); }
  static std::int64_t columns_of(const GemmProblem& p, std::int64_t j) {
    return std::min(kColumns, p.n - j * kColumns);
  }

  dnnl_status_t run_piece(const GemmProblem& p, std::int64_t piece, int thread, std::byte* scratch) const {
    const std::int64_t i = piece / across_, j = piece % across_;
    const std::int64_t row = i * kRows, column = j * kColumns, at = row * p.n + column;
    auto* const sums = reinterpret_cast<float*>(scratch);
    const dnnl_status_t status = primitives_[i + 1 == down_][j + 1 == across_]->run(
        thread, element(p.a.data, DType::kBF16, row * p.a.row), strips_[static_cast<std::size_t>(j)].get(),
        p.bias != nullptr ? p.bias + column : nullptr,
        gelu_ ? static_cast<const void*>(sums) : element(p.y, p.dtype, at), scratch + sums_bytes_);
    if (status != dnnl_success || !gelu_) return status;
    if (p.dtype == DType::kBF16) {
      finish<bfloat16>(p, sums, i, j, at);
    } else {
      finish<float>(p, sums, i, j, at);
    }
    return status;
  }

  template <typename T>
  static void finish(const GemmProblem& p, float* sums, std::int64_t i, std::int64_t j, std::int64_t at) {
    T* const z = p.z != nullptr ? static_cast<T*>(p.z) + at : nullptr;
    finish_gelu(sums, rows_of(p, i), columns_of(p, j), p.n, z, static_cast<T*>(p.y) + at);
  }

  std::int64_t down_, across_;
  bool gelu_, prepared_;
  std::array<std::array<std::shared_ptr<const Primitive>, 2>, 2> primitives_{};
  std::size_t sums_bytes_ = 0;         // where an activation that oneDNN does not apply is applied
  std::size_t scratch_bytes_ = 0;      // oneDNN's
  std::size_t strip_bytes_ = 0;        // of the prepared form
  std::byte* scratch_ = nullptr;       // a thread's sums and oneDNN's own, for each
  std::vector<dnnl::memory> strips_;   // of b, by column of pieces
  std::vector<dnnl_status_t> status_;  // by thread
};

NativeGemm::NativeGemm(CpuDevice& device, Scratch& scratch, const GemmProblem& problem) : device_(device) {
  if (problem.m == 0 || problem.n == 0) return;
  guarded(problem.k, problem.n, [&] { grid_ = std::make_unique<Grid>(device, scratch, problem); });
}

NativeGemm::~NativeGemm() = default;

void NativeGemm::run(const GemmProblem& problem) const {
  if (grid_ != nullptr) grid_->run(device_, problem);
}

}  // namespace convoy
