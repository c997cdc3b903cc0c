#include <cmath>
#include <numbers>

#include "core/io/onnx/rules.h"

namespace convoy {
namespace {

using Name = OnnxBuilder::Name;

// y = op(x).
template <typename Body>
void unary(OnnxBuilder& out, const OnnxSource& source, const Body& body) {
  onnx_map(out, source.input(0), source.output(), body);
}

// Operands of one shape are taken in the form in which one of them is there; others broadcast in our layout.
template <typename Body>
void binary(OnnxBuilder& out, const OnnxSource& source, const Body& body) {
  const ValueId a = source.input(0), b = source.input(1);
  const bool alike = source.shape(a) == source.shape(b);
  if (alike && (out.is_channels_first(a) || out.is_channels_first(b))) {
    const Name left = out.channels_first(a), right = out.channels_first(b);
    out.set_channels_first(source.output(), body(left, right));
  } else {
    const Name left = out.plain(a), right = out.plain(b);
    out.set(source.output(), body(left, right));
  }
}

constexpr char kAdd[] = "Add", kSub[] = "Sub", kMul[] = "Mul", kDiv[] = "Div", kMax[] = "Max";
constexpr char kNeg[] = "Neg", kExp[] = "Exp", kLog[] = "Log", kSqrt[] = "Sqrt", kTanh[] = "Tanh", kRelu[] = "Relu";

template <const char* kOp>
void write_unary(OnnxBuilder& out, const OnnxSource& source) {
  unary(out, source, [&](const Name& x) { return out.emit(kOp, {x}); });
}

template <const char* kOp>
void write_binary(OnnxBuilder& out, const OnnxSource& source) {
  binary(out, source, [&](const Name& a, const Name& b) { return out.emit(kOp, {a, b}); });
}

std::int64_t type_number(DType dtype) { return static_cast<std::int64_t>(onnx_type(dtype)); }

void write_greater_equal(OnnxBuilder& out, const OnnxSource& source) {
  binary(out, source, [&](const Name& a, const Name& b) {
    return out.emit("Cast", {out.emit("GreaterOrEqual", {a, b})}, {{"to", type_number(source.dtype(source.output()))}});
  });
}

void write_gelu(OnnxBuilder& out, const OnnxSource& source) {
  unary(out, source, [&](const Name& x) { return onnx_gelu(out, x, source.dtype(source.input(0))); });
}

Name silu(OnnxBuilder& out, const Name& x) { return out.emit("Mul", {x, out.emit("Sigmoid", {x})}); }

void write_silu(OnnxBuilder& out, const OnnxSource& source) {
  unary(out, source, [&](const Name& x) { return silu(out, x); });
}

void write_swiglu(OnnxBuilder& out, const OnnxSource& source) {
  binary(out, source, [&](const Name& gate, const Name& up) { return out.emit("Mul", {silu(out, gate), up}); });
}

void write_square(OnnxBuilder& out, const OnnxSource& source) {
  unary(out, source, [&](const Name& x) { return out.emit("Mul", {x, x}); });
}

void write_scale(OnnxBuilder& out, const OnnxSource& source) {
  const Name factor = out.scalar(source.real("factor"), source.dtype(source.output()));
  unary(out, source, [&](const Name& x) { return out.emit("Mul", {x, factor}); });
}

void write_add_scalar(OnnxBuilder& out, const OnnxSource& source) {
  const Name value = out.scalar(source.real("value"), source.dtype(source.output()));
  unary(out, source, [&](const Name& x) { return out.emit("Add", {x, value}); });
}

void write_cast(OnnxBuilder& out, const OnnxSource& source) {
  unary(out, source, [&](const Name& x) {
    return out.emit("Cast", {x}, {{"to", type_number(source.dtype(source.output()))}});
  });
}

void write_ones_like(OnnxBuilder& out, const OnnxSource& source) {
  const Name one = out.scalar(1.0, source.dtype(source.output()));
  out.set(source.output(), out.emit("Expand", {one, out.shape(source.shape(source.output()))}));
}

void write_constant_values(OnnxBuilder& out, const OnnxSource& source) {
  out.set(source.output(), out.table("constant", source.value()));
}

constexpr OnnxRule kRules[] = {{"add", write_binary<kAdd>},
                               {"sub", write_binary<kSub>},
                               {"mul", write_binary<kMul>},
                               {"div", write_binary<kDiv>},
                               {"maximum", write_binary<kMax>},
                               {"greater_equal", write_greater_equal},
                               {"neg", write_unary<kNeg>},
                               {"exp", write_unary<kExp>},
                               {"log", write_unary<kLog>},
                               {"sqrt", write_unary<kSqrt>},
                               {"tanh", write_unary<kTanh>},
                               {"relu", write_unary<kRelu>},
                               {"gelu", write_gelu},
                               {"silu", write_silu},
                               {"swiglu", write_swiglu},
                               {"square", write_square},
                               {"scale", write_scale},
                               {"add_scalar", write_add_scalar},
                               {"cast", write_cast},
                               {"ones_like", write_ones_like},
                               {"constant_values", write_constant_values}};

}  // namespace

std::span<const OnnxRule> onnx_elementwise_rules() { return kRules; }

// x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³))), in the order of nodes that runtimes know and run as one.
std::string onnx_gelu(OnnxBuilder& out, const std::string& x, DType dtype) {
  const auto number = [&](double value) { return out.scalar(value, dtype); };
  const Name cubic = out.emit("Mul", {out.emit("Pow", {x, number(3.0)}), number(0.044715)});
  const Name inner = out.emit("Mul", {out.emit("Add", {x, cubic}), number(std::sqrt(2.0 / std::numbers::pi))});
  const Name outer = out.emit("Add", {out.emit("Tanh", {inner}), number(1.0)});
  return out.emit("Mul", {out.emit("Mul", {x, number(0.5)}), outer});
}

}  // namespace convoy
