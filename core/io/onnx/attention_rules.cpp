#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/io/onnx/rules.h"

namespace convoy {
namespace {

using Name = OnnxBuilder::Name;
using Axes = std::vector<std::int64_t>;

Name transpose(OnnxBuilder& out, const Name& x, Axes axes) {
  return out.emit("Transpose", {x}, {{"perm", std::move(axes)}});
}

// Queries [B, T, H, D] and keys and values [B, T, G, D].
struct Heads {
  Name q, k, v;
  OnnxExtent time;
  std::int64_t heads, kv_heads, depth;
  DType dtype;
};

// [T, T]: 0 where the key is not later than the query, else the lowest number.
Name causal_mask(OnnxBuilder& out, const OnnxExtent& time, DType dtype) {
  return out.shared(fmt::format("causal_mask/{}x{}/{}", time.factor, time.sizes, name_of(dtype)), [&] {
    const double lowest = dtype == DType::kF64 ? std::numeric_limits<double>::lowest()
                                               : static_cast<double>(std::numeric_limits<float>::lowest());
    const auto integer = [&](std::int64_t value) {
      return out.emit("Squeeze", {out.integers({value}), out.integers({0})});
    };
    const Name end = out.emit("Squeeze", {out.extent(time), out.integers({0})});
    const Name keys = out.emit("Range", {integer(0), end, integer(1)});
    const Name queries = out.emit("Unsqueeze", {keys, out.integers({1})});
    return out.emit("Where", {out.emit("Less", {queries, keys}), out.scalar(lowest, dtype), out.scalar(0.0, dtype)});
  });
}

// softmax(scale·q·kᵀ + mask)·v → [B, T, H, D]. Where heads share keys, queries are [B, G, H/G, T, D] and the keys'
// third axis broadcasts.
Name attend(OnnxBuilder& out, const OnnxSource& source, const Heads& a) {
  const double given = source.real("scale");
  const Name scale = out.scalar(given != 0 ? given : 1 / std::sqrt(static_cast<double>(a.depth)), a.dtype);
  const std::int64_t group = a.heads / a.kv_heads;
  Name q = out.emit("Mul", {a.q, scale});
  Name k = transpose(out, a.k, {0, 2, 3, 1}), v = transpose(out, a.v, {0, 2, 1, 3});
  if (group == 1) {
    q = transpose(out, q, {0, 2, 1, 3});
  } else {
    q = out.emit("Reshape", {q, out.integers({0, 0, a.kv_heads, group, a.depth})});
    q = transpose(out, q, {0, 2, 3, 1, 4});
    k = out.emit("Unsqueeze", {k, out.integers({2})});
    v = out.emit("Unsqueeze", {v, out.integers({2})});
  }
  Name scores = out.emit("MatMul", {q, k});
  if (source.flag("causal")) scores = out.emit("Add", {scores, causal_mask(out, a.time, a.dtype)});
  const Name result = out.emit("MatMul", {out.emit("Softmax", {scores}, {{"axis", std::int64_t{-1}}}), v});
  if (group == 1) return transpose(out, result, {0, 2, 1, 3});
  return out.emit("Reshape", {transpose(out, result, {0, 3, 1, 2, 4}), out.integers({0, 0, a.heads, a.depth})});
}

void write_attention(OnnxBuilder& out, const OnnxSource& source) {
  const ValueId q = source.input(0), k = source.input(1);
  out.set(source.output(), attend(out, source,
                                  {.q = out.plain(q),
                                   .k = out.plain(k),
                                   .v = out.plain(source.input(2)),
                                   .time = source.shape(q)[1],
                                   .heads = source.largest(q, 2),
                                   .kv_heads = source.largest(k, 2),
                                   .depth = source.largest(q, 3),
                                   .dtype = source.dtype(q)}));
}

void write_self_attention(OnnxBuilder& out, const OnnxSource& source) {
  const ValueId packed = source.input(0);
  const std::int64_t heads = source.integer("heads"), kv_heads = source.integer("kv_heads");
  const std::int64_t depth = source.largest(packed, 2) / (heads + 2 * kv_heads);
  const Name qkv = out.plain(packed);
  const Name widths = out.integers({heads * depth, kv_heads * depth, kv_heads * depth});
  const auto parts = out.emit("Split", {qkv, widths}, {{"axis", std::int64_t{2}}}, 3);
  const auto by_head = [&](const Name& part, std::int64_t count) {
    return out.emit("Reshape", {part, out.integers({0, 0, count, depth})});
  };
  const Name result = attend(out, source,
                             {.q = by_head(parts[0], heads),
                              .k = by_head(parts[1], kv_heads),
                              .v = by_head(parts[2], kv_heads),
                              .time = source.shape(packed)[1],
                              .heads = heads,
                              .kv_heads = kv_heads,
                              .depth = depth,
                              .dtype = source.dtype(packed)});
  out.set(source.output(), out.emit("Reshape", {result, out.integers({0, 0, heads * depth})}));
}

// cos or sin of t · theta^(-i/half) for every time t and pair i: [times, 1, half].
Name angle_table(OnnxBuilder& out, const OnnxSource& source, double (*function)(double), const char* what) {
  const ValueId x = source.input(0);
  const std::int64_t times = source.largest(x, 1), half = source.largest(x, 3) / 2;
  const double theta = source.real("theta");
  const DType dtype = source.dtype(x);
  const Name table = out.shared(fmt::format("rotary/{}/{}/{}/{}/{}", what, theta, times, half, name_of(dtype)), [&] {
    std::vector<double> values;
    for (std::int64_t t = 0; t < times; ++t) {
      for (std::int64_t i = 0; i < half; ++i) {
        const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(half));
        values.push_back(function(static_cast<double>(t) * frequency));
      }
    }
    Device& device = out.graph().graph().device();
    const Shape shape{times, 1, half};
    const std::string name = fmt::format("rotary/{}", what);
    if (dtype == DType::kF64) return out.table(name, Tensor::of<double>(device, shape, values));
    const std::vector<float> narrow(values.begin(), values.end());
    return out.table(name, Tensor::of<float>(device, shape, narrow));
  });
  const OnnxExtent& time = source.shape(x)[1];
  if (time.is_constant()) return table;
  return out.shared(fmt::format("{}/first/{}x{}", table, time.factor, time.sizes), [&] {
    return out.emit("Slice", {table, out.integers({0}), out.extent(time), out.integers({0})});
  });
}

void write_rotary(OnnxBuilder& out, const OnnxSource& source) {
  const ValueId x = source.input(0);
  const std::int64_t half = source.largest(x, 3) / 2;
  const Name cosines = angle_table(out, source, std::cos, "cos"), sines = angle_table(out, source, std::sin, "sin");
  const Name whole = out.plain(x);
  const auto halves = out.emit("Split", {whole, out.integers({half, half})}, {{"axis", std::int64_t{3}}}, 2);
  const auto turned = [&](const char* op, const Name& along, const Name& across) {
    return out.emit(op, {out.emit("Mul", {along, cosines}), out.emit("Mul", {across, sines})});
  };
  const bool back = source.flag("back");
  const Name first = turned(back ? "Add" : "Sub", halves[0], halves[1]);
  const Name second = turned(back ? "Sub" : "Add", halves[1], halves[0]);
  out.set(source.output(), out.emit("Concat", {first, second}, {{"axis", std::int64_t{3}}}));
}

constexpr OnnxRule kRules[] = {
    {"attention", write_attention}, {"self_attention", write_self_attention}, {"rotary", write_rotary}};

}  // namespace

std::span<const OnnxRule> onnx_attention_rules() { return kRules; }

}  // namespace convoy
