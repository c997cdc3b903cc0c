#include "core/ops/native_gemm.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "core/base/error.h"
#include "core/device/parallel.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/onednn.h"
#include "core/tensor/tensor.h"

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

  auto fields() const {
    return std::array<std::int64_t, 9>{
        rows, columns, k, a_row, a_column, b_row, b_column, y_row, bias | relu << 1 | bf16 << 2};
  }
  bool operator<(const Piece& other) const { return fields() < other.fields(); }
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

// A device's engine and all its prepared products.
struct Products {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  std::map<Piece, Primitive> primitives;
  std::map<std::array<std::int64_t, 2>, dnnl::memory::desc> blocks;

  const Primitive& prepare(const Piece& piece, int threads) {
    if (const auto found = primitives.find(piece); found != primitives.end()) return found->second;
    const OmpThreads one(1);
    const dnnl::memory::desc b = piece.b_row == 0 ? blocks_of(piece.k, piece.columns)
                                                  : dnnl::memory::desc({piece.k, piece.columns}, DataType::bf16,
                                                                       Dims{piece.b_row, piece.b_column});
    return primitives.emplace(piece, Primitive(engine, piece, b, threads)).first->second;
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

// body(first column, columns, where the strip begins in the prepared form).
template <typename Body>
void for_strips(Products& products, std::int64_t k, std::int64_t n, const Body& body) {
  std::size_t at = 0;
  for (std::int64_t column = 0; column < n; column += kColumns) {
    const std::int64_t columns = std::min(kColumns, n - column);
    body(column, columns, at);
    at += up(products.blocks_of(k, columns).get_size());
  }
}

const std::byte* element(const void* data, DType dtype, std::int64_t index) {
  return static_cast<const std::byte*>(data) + index * static_cast<std::int64_t>(size_of(dtype));
}

void reorder(CpuDevice& device, Products& products, const dnnl::memory::desc& blocked, const GemmOperand& b, void* to) {
  const OmpThreads all(device.threads());
  const auto dims = blocked.dims();
  dnnl::memory from({dims, type_of(b.dtype), Dims{b.row, b.column}}, products.engine, const_cast<void*>(b.data));
  dnnl::memory target(blocked, products.engine, to);
  dnnl::stream stream(products.engine);
  dnnl::reorder(from, target).execute(stream, from, target);
}

void prepare(CpuDevice& device, Products& products, std::int64_t k, std::int64_t n, const GemmOperand& b, void* form) {
  for_strips(products, k, n, [&](std::int64_t column, std::int64_t columns, std::size_t at) {
    GemmOperand strip = b;
    strip.data = element(b.data, b.dtype, column * b.column);
    reorder(device, products, products.blocks_of(k, columns), strip, static_cast<std::byte*>(form) + at);
  });
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

// The pieces of a result [m, n]: rows share a primitive but for the last ones, and columns too.
class Grid {
 public:
  Grid(Products& products, const GemmProblem& p, bool prepared, int threads)
      : p_(p),
        down_((p.m + kRows - 1) / kRows),
        across_((p.n + kColumns - 1) / kColumns),
        gelu_(p.activation == Activation::kGelu) {
    for (const bool last_row : {false, true}) {
      for (const bool last_column : {false, true}) {
        const std::int64_t columns = columns_of(last_column ? across_ - 1 : 0);
        const Piece piece{.rows = rows_of_piece(last_row ? down_ - 1 : 0),
                          .columns = columns,
                          .k = p.k,
                          .a_row = p.a.row,
                          .a_column = p.a.column,
                          .b_row = prepared ? 0 : p.b.row,
                          .b_column = prepared ? 0 : p.b.column,
                          .y_row = gelu_ ? columns : p.n,
                          .bias = p.bias != nullptr,
                          .relu = p.activation == Activation::kRelu,
                          .bf16 = !gelu_ && p.dtype == DType::kBF16};
        const Primitive& primitive = products.prepare(piece, threads);
        primitives_[last_row][last_column] = &primitive;
        scratch_bytes_ = std::max(scratch_bytes_, primitive.scratch_bytes());
      }
    }
    if (gelu_) sums_bytes_ = up(static_cast<std::size_t>(rows_of_piece(0) * columns_of(0)) * sizeof(float));
    const auto strip_bytes = prepared ? up(products.blocks_of(p.k, columns_of(0)).get_size()) : 0;
    for (std::int64_t j = 0; j < across_; ++j) {
      const void* const strip =
          prepared ? static_cast<const std::byte*>(p.b.data) + static_cast<std::size_t>(j) * strip_bytes
                   : element(p.b.data, DType::kBF16, j * kColumns * p.b.column);
      strips_.emplace_back(primitives_[0][j + 1 == across_]->blocked(), products.engine, const_cast<void*>(strip));
    }
  }

  std::int64_t pieces() const { return down_ * across_; }
  std::size_t scratch_bytes() const { return sums_bytes_ + scratch_bytes_; }

  dnnl_status_t run(std::int64_t piece, int thread, std::byte* scratch) const {
    const std::int64_t i = piece / across_, j = piece % across_;
    const std::int64_t row = i * kRows, column = j * kColumns, at = row * p_.n + column;
    auto* const sums = reinterpret_cast<float*>(scratch);
    const dnnl_status_t status = primitives_[i + 1 == down_][j + 1 == across_]->run(
        thread, element(p_.a.data, DType::kBF16, row * p_.a.row), strips_[static_cast<std::size_t>(j)].get(),
        p_.bias != nullptr ? p_.bias + column : nullptr,
        gelu_ ? static_cast<const void*>(sums) : element(p_.y, p_.dtype, at), scratch + sums_bytes_);
    if (status != dnnl_success || !gelu_) return status;
    if (p_.dtype == DType::kBF16) {
      finish<bfloat16>(sums, i, j, at);
    } else {
      finish<float>(sums, i, j, at);
    }
    return status;
  }

 private:
  std::int64_t rows_of_piece(std::int64_t i) const { return std::min(kRows, p_.m - i * kRows); }
  std::int64_t columns_of(std::int64_t j) const { return std::min(kColumns, p_.n - j * kColumns); }

  template <typename T>
  void finish(float* sums, std::int64_t i, std::int64_t j, std::int64_t at) const {
    T* const z = p_.z != nullptr ? static_cast<T*>(p_.z) + at : nullptr;
    finish_gelu(sums, rows_of_piece(i), columns_of(j), p_.n, z, static_cast<T*>(p_.y) + at);
  }

  const GemmProblem& p_;
  std::int64_t down_, across_;
  bool gelu_;
  std::array<std::array<const Primitive*, 2>, 2> primitives_{};
  std::size_t sums_bytes_ = 0;        // where an activation that oneDNN does not apply is applied
  std::size_t scratch_bytes_ = 0;     // oneDNN's
  std::vector<dnnl::memory> strips_;  // of b, by column of pieces
};

void multiply(CpuDevice& device, Products& products, const GemmProblem& p, bool prepared) {
  const Grid grid(products, p, prepared, device.threads());
  const auto threads = static_cast<std::size_t>(std::min<std::int64_t>(device.threads(), grid.pieces()));
  const Storage scratch(device, threads * grid.scratch_bytes());
  std::vector<dnnl_status_t> status(threads, dnnl_success);
  {
    const OmpThreads one(1);
    parallel_for(device.threads(), grid.pieces(), 1, [&](std::int64_t begin, std::int64_t end) {
      const auto thread = static_cast<std::size_t>(omp_get_thread_num());
      std::byte* const own = static_cast<std::byte*>(scratch.data()) + thread * grid.scratch_bytes();
      for (std::int64_t i = begin; i < end && status[thread] == dnnl_success; ++i)
        status[thread] = grid.run(i, static_cast<int>(thread), own);
    });
  }
  for (const dnnl_status_t each : status) {
    if (each != dnnl_success)
      fail(ErrorCode::kInternal, "matmul: oneDNN refused to run with status {}", static_cast<int>(each));
  }
}

void run(CpuDevice& device, Products& products, GemmProblem p) {
  if (p.b_is_prepared || p.b.dtype == DType::kBF16) return multiply(device, products, p, p.b_is_prepared);
  const Storage form(device, native_bytes(device, p.k, p.n));
  prepare(device, products, p.k, p.n, p.b, form.data());
  p.b.data = form.data();
  multiply(device, products, p, true);
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

void native_gemm(CpuDevice& device, const GemmProblem& problem) {
  if (problem.m == 0 || problem.n == 0) return;
  if (problem.k == 0) return packed_gemm(device, problem);  // nothing is multiplied
  guarded(problem.k, problem.n, [&] { run(device, device.local<Products>(), problem); });
}

std::size_t native_bytes(CpuDevice& device, std::int64_t k, std::int64_t n) {
  if (k == 0 || n == 0) return 0;
  return guarded(k, n, [&] {
    auto& products = device.local<Products>();
    std::size_t bytes = 0;
    for_strips(products, k, n, [&](std::int64_t, std::int64_t columns, std::size_t at) {
      bytes = at + up(products.blocks_of(k, columns).get_size());
    });
    return bytes;
  });
}

void prepare_native(CpuDevice& device, std::int64_t k, std::int64_t n, const GemmOperand& b, void* form) {
  if (k == 0 || n == 0) return;
  guarded(k, n, [&] { prepare(device, device.local<Products>(), k, n, b, form); });
}

}  // namespace convoy
