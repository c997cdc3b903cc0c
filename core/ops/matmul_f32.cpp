// The f32 kernel: oneDNN's matmul with plain row-major operands, transposed by strides.
#include <omp.h>

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/matmul_kernels.h"
#include "core/ops/onednn.h"

namespace convoy {
namespace {

// oneDNN splits long inner dimensions over the threads, which changes the order of the sum (seen from 2048 on where
// there are few columns, never below; its own adding to c is no way out, it too rounds as the threads fall). So long
// ones are cut here, at places that only their length decides, and the products added up in turn.
constexpr std::int64_t kLongest = 2032;
constexpr std::int64_t kCutUnit = 16;

// How far the rows of b lie apart when oneDNN reads them. It reads them in place, down columns: rows a multiple of 2
// KiB apart share so few cache sets that a copy with other strides pays (2048×768 by 768×3072: 2.5 times as fast).
std::int64_t row_of_b(const MatmulProblem& problem) {
  const bool crowded = problem.n > 512 && problem.n % 512 == 0;
  const bool pays = problem.m >= 128 && problem.batch == 1 && !problem.transpose_b;
  return problem.n + (crowded && pays ? 32 : 0);
}

// What a primitive is prepared for: one piece, of inner length `k`, of a problem.
struct Piece {
  MatmulProblem problem;
  std::int64_t k = 0;
  bool bias = false;

  auto fields() const {
    return std::array<std::int64_t, 6>{
        problem.batch, problem.m, problem.n,
        problem.k,     k,         problem.transpose_a | problem.transpose_b << 1 | problem.relu << 2 | bias << 3};
  }
  bool operator==(const Piece& other) const { return fields() == other.fields(); }
};

struct PieceHash {
  std::size_t operator()(const Piece& piece) const {
    std::uint64_t hash = 0;
    for (const std::int64_t field : piece.fields()) {
      hash = (hash ^ static_cast<std::uint64_t>(field)) * 0x9e3779b97f4a7c15U;
      hash ^= hash >> 29;
    }
    return hash;
  }
};

struct Prepared {
  dnnl::matmul primitive;
  dnnl::memory a, b, bias, c, scratch;
  std::array<dnnl_exec_arg_t, 5> arguments;
};

// A device's engine and all its prepared primitives. One buffer serves every primitive's scratch: they run in turn.
struct OneDnn {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::unordered_map<Piece, Prepared, PieceHash> prepared;
  std::vector<std::byte> scratch;

  const Prepared& prepare(const Piece& piece);
};

dnnl::memory::desc matrix(const MatmulProblem& problem, dnnl::memory::dims dims, dnnl::memory::dims strides) {
  if (problem.batch == 1) {
    dims.erase(dims.begin());
    strides.erase(strides.begin());
  }
  return {dims, dnnl::memory::data_type::f32, strides};
}

const Prepared& OneDnn::prepare(const Piece& piece) {
  if (const auto found = prepared.find(piece); found != prepared.end()) return found->second;
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

  Prepared ready{.primitive = dnnl::matmul(chosen),
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
  scratch.resize(std::max(scratch.size(), chosen.scratchpad_desc().get_size() + Device::kAlignment));
  return prepared.emplace(piece, std::move(ready)).first->second;
}

void execute(CpuDevice& device, const Piece& piece, const float* a, const float* b, const float* bias, float* c) {
  OneDnn& onednn = device.local<OneDnn>();
  const Prepared& ready = onednn.prepare(piece);
  const std::int64_t columns = piece.problem.n;
  const std::int64_t row = row_of_b(piece.problem);
  std::optional<Storage> copy;
  if (row != columns) {
    copy.emplace(device, static_cast<std::size_t>(piece.k * row) * sizeof(float));
    float* const to = static_cast<float*>(copy->data());
    parallel_for(device.threads(), piece.k, row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) std::copy_n(b + i * columns, columns, to + i * row);
    });
    b = to;
  }
  point(ready.a, a);
  point(ready.b, b);
  point(ready.c, c);
  const auto address = reinterpret_cast<std::uintptr_t>(onednn.scratch.data());
  point(ready.scratch, onednn.scratch.data() + (Device::kAlignment - address % Device::kAlignment));
  if (piece.bias) point(ready.bias, bias);
  const dnnl_status_t status =
      dnnl_primitive_execute(ready.primitive.get(), onednn.stream.get(), piece.bias ? 5 : 4, ready.arguments.data());
  if (status != dnnl_success)
    fail(ErrorCode::kInternal, "matmul: oneDNN refused to run with status {}", static_cast<int>(status));
}

std::int64_t piece_length(std::int64_t k) {
  const std::int64_t pieces = (k + kLongest - 1) / kLongest;
  const std::int64_t length = (k + pieces - 1) / pieces;
  return pieces == 1 ? k : (length + kCutUnit - 1) / kCutUnit * kCutUnit;
}

// One product, cut into pieces of `length`.
void multiply_in_pieces(CpuDevice& device, const MatmulProblem& problem, std::int64_t length, const float* a,
                        const float* b, const float* bias, float* c) {
  const std::int64_t elements = problem.m * problem.n;
  const Storage memory(device, static_cast<std::size_t>(elements) * sizeof(float));
  float* const product = static_cast<float*>(memory.data());
  MatmulProblem linear = problem;
  linear.relu = false;
  for (std::int64_t begin = 0; begin < problem.k; begin += length) {
    const Piece piece{
        .problem = linear, .k = std::min(length, problem.k - begin), .bias = begin == 0 && bias != nullptr};
    execute(device, piece, a + begin * (problem.transpose_a ? problem.m : 1),
            b + begin * (problem.transpose_b ? 1 : problem.n), bias, begin == 0 ? c : product);
    if (begin == 0) continue;
    const bool relu = problem.relu && begin + length >= problem.k;
    parallel_for(device.threads(), elements, kGrain, [&](std::int64_t from, std::int64_t to) {
      add_kernel(c + from, product + from, c + from, to - from);
      if (relu) relu_forward_kernel(c + from, c + from, to - from);
    });
  }
}

void multiply(CpuDevice& device, const MatmulProblem& problem, const float* a, const float* b, const float* bias,
              float* c) {
  const std::int64_t length = piece_length(problem.k);
  if (length == problem.k) {
    execute(device, {.problem = problem, .k = length, .bias = bias != nullptr}, a, b, bias, c);
    return;
  }
  MatmulProblem one = problem;
  one.batch = 1;
  for (std::int64_t i = 0; i < problem.batch; ++i) {
    multiply_in_pieces(device, one, length, a + i * problem.m * problem.k, b + i * problem.k * problem.n, bias,
                       c + i * problem.m * problem.n);
  }
}

}  // namespace

void matmul_kernel(CpuDevice& device, const MatmulProblem& problem, const float* a, const float* b, const float* bias,
                   float* c) {
  if (problem.batch == 0 || problem.m == 0 || problem.n == 0) return;
  if (problem.k == 0) {
    for (std::int64_t i = 0; i < problem.batch * problem.m * problem.n; ++i) {
      const float value = bias != nullptr ? bias[i % problem.n] : 0.0F;
      c[i] = problem.relu ? std::max(value, 0.0F) : value;
    }
    return;
  }
  // The setting belongs to the calling thread.
  if (omp_get_max_threads() != device.threads()) omp_set_num_threads(device.threads());
  try {
    multiply(device, problem, a, b, bias, c);
  } catch (const dnnl::error& error) {
    fail(ErrorCode::kInternal, "matmul: oneDNN refused [{}, {}]·[{}, {}]: {}", problem.m, problem.k, problem.k,
         problem.n, error.what());
  }
}

std::size_t prepared_matmuls(CpuDevice& device) { return device.local<OneDnn>().prepared.size(); }

}  // namespace convoy
