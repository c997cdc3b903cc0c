#include "core/ops/elementwise.h"

#include <cmath>
#include <limits>
#include <optional>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/reduce.h"
#include "core/ops/scratch.h"

namespace convoy {
namespace {

// --- Two operands -----------------------------------------------------------------------------------------------

// The output's index space with adjacent dimensions merged where both operands allow it.
struct Pair {
  Shape shape, a_strides, b_strides;
};

Pair merged(const Shape& out, const Layout& a, const Layout& b) {
  Pair pair;
  const auto stride = [&](const Layout& layout, int i) {
    const int own = i - (out.rank() - layout.shape.rank());
    return own < 0 || layout.shape[own] == 1 ? 0 : layout.strides[own];
  };
  for (int i = 0; i < out.rank(); ++i) {
    if (out[i] == 1) continue;
    const std::int64_t a_stride = stride(a, i), b_stride = stride(b, i);
    if (pair.shape.rank() > 0 && pair.a_strides[-1] == a_stride * out[i] && pair.b_strides[-1] == b_stride * out[i]) {
      pair.shape[-1] *= out[i];
      pair.a_strides[-1] = a_stride;
      pair.b_strides[-1] = b_stride;
      continue;
    }
    pair.shape.append(out[i]);
    pair.a_strides.append(a_stride);
    pair.b_strides.append(b_stride);
  }
  if (pair.shape.rank() == 0) pair = {{1}, {0}, {0}};
  return pair;
}

bool steps_evenly(const Tensor& operand) {
  const Layout& layout = operand.layout();
  for (int i = layout.shape.rank() - 1; i >= 0; --i) {
    if (layout.shape[i] != 1) return layout.strides[i] == 0 || layout.strides[i] == 1;
  }
  return true;
}

template <typename T>
PreparedPtr prepare_binary(BinaryKind kind, const PrepareArgs& args) {
  const Tensor& out = args.outputs[0];
  if (out.elements() == 0) return prepared([] {});
  Gapless a(args.scratch, args.inputs[0], steps_evenly(args.inputs[0]));
  Gapless b(args.scratch, args.inputs[1], steps_evenly(args.inputs[1]));
  const Pair pair = merged(out.shape(), a.tensor().layout(), b.tensor().layout());
  return prepared([kind, pair, rows = rows_of(pair.shape), threads = threads_of(args), a_copy = a.take_copy(),
                   b_copy = b.take_copy(), a_data = a.tensor().data<T>(), b_data = b.tensor().data<T>(),
                   y = out.data<T>()] {
    a_copy.run();
    b_copy.run();
    const std::int64_t width = pair.shape[-1];
    const std::int64_t a_step = pair.a_strides[-1], b_step = pair.b_strides[-1];
    if (pair.shape.rank() == 1) {
      parallel_for(threads, width, kGrain, [&](std::int64_t begin, std::int64_t end) {
        binary_kernel(kind, a_data + begin * a_step, a_step, b_data + begin * b_step, b_step, y + begin, end - begin);
      });
      return;
    }
    parallel_for(threads, rows, row_grain(width), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        std::int64_t rest = row, a_offset = 0, b_offset = 0;
        for (int i = pair.shape.rank() - 2; i >= 0; --i) {
          a_offset += rest % pair.shape[i] * pair.a_strides[i];
          b_offset += rest % pair.shape[i] * pair.b_strides[i];
          rest /= pair.shape[i];
        }
        binary_kernel(kind, a_data + a_offset, a_step, b_data + b_offset, b_step, y + row * width, width);
      }
    });
  });
}

class Binary : public Op {
 public:
  explicit Binary(BinaryKind kind) : kind_(kind) {}
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    check_floating(name(), in);
    try {
      return {{in[0].dtype, broadcast(in[0].shape, in[1].shape), in[0].device}};
    } catch (const Error&) {
      refuse(name(), in, "shapes that broadcast");
    }
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) { return prepare_binary<T>(kind_, args); });
  }
  void run_tile_cpu(const TileArgs& args) const override {
    with_floating(args.dtype, [&](auto zero) {
      using T = decltype(zero);
      const TileOperand& a = args.inputs[0];
      const TileOperand& b = args.inputs[1];
      binary_kernel(kind_, static_cast<const T*>(a.data), a.step, static_cast<const T*>(b.data), b.step,
                    static_cast<T*>(args.output), args.count);
    });
  }

 protected:
  static Traits reading(std::uint32_t inputs, std::uint32_t outputs) {
    return {.elementwise = true,
            .tiled = true,
            .strided = true,
            .gradient_reads_inputs = inputs,
            .gradient_reads_outputs = outputs};
  }

 private:
  BinaryKind kind_;
};

class Add final : public Binary {
 public:
  Add() : Binary(BinaryKind::kAdd) {}
  std::string_view name() const override { return "add"; }
  Traits traits() const override { return reading(0, 0); }
  Tensors vjp(const VjpArgs& args) const override {
    Tensors result(2);
    for (std::size_t i = 0; i < 2; ++i) {
      if (args.needed[i]) result[i] = sum_to(args.gradients[0], args.inputs[i].shape());
    }
    return result;
  }
};

class Sub final : public Binary {
 public:
  Sub() : Binary(BinaryKind::kSub) {}
  std::string_view name() const override { return "sub"; }
  Traits traits() const override { return reading(0, 0); }
  Tensors vjp(const VjpArgs& args) const override {
    Tensors result(2);
    if (args.needed[0]) result[0] = sum_to(args.gradients[0], args.inputs[0].shape());
    if (args.needed[1]) result[1] = neg(sum_to(args.gradients[0], args.inputs[1].shape()));
    return result;
  }
};

class Mul final : public Binary {
 public:
  Mul() : Binary(BinaryKind::kMul) {}
  std::string_view name() const override { return "mul"; }
  Traits traits() const override { return reading(3, 0); }
  Tensors vjp(const VjpArgs& args) const override {
    Tensors result(2);
    for (std::size_t i = 0; i < 2; ++i) {
      if (args.needed[i]) result[i] = sum_to(mul(args.gradients[0], args.inputs[1 - i]), args.inputs[i].shape());
    }
    return result;
  }
};

class Div final : public Binary {
 public:
  Div() : Binary(BinaryKind::kDiv) {}
  std::string_view name() const override { return "div"; }
  Traits traits() const override { return reading(2, 1); }
  Tensors vjp(const VjpArgs& args) const override {
    Tensors result(2);
    const Tensor quotient = div(args.gradients[0], args.inputs[1]);
    if (args.needed[0]) result[0] = sum_to(quotient, args.inputs[0].shape());
    if (args.needed[1]) result[1] = neg(sum_to(mul(quotient, args.outputs[0]), args.inputs[1].shape()));
    return result;
  }
};

class Maximum final : public Binary {
 public:
  Maximum() : Binary(BinaryKind::kMaximum) {}
  std::string_view name() const override { return "maximum"; }
  Traits traits() const override { return reading(3, 0); }
  Tensors vjp(const VjpArgs& args) const override {
    Tensors result(2);
    const Tensor left = greater_equal(args.inputs[0], args.inputs[1]);
    if (args.needed[0]) result[0] = sum_to(mul(args.gradients[0], left), args.inputs[0].shape());
    if (args.needed[1]) {
      const Tensor right = add_scalar(neg(left), 1.0);
      result[1] = sum_to(mul(args.gradients[0], right), args.inputs[1].shape());
    }
    return result;
  }
};

class GreaterEqual final : public Binary {
 public:
  GreaterEqual() : Binary(BinaryKind::kGreaterEqual) {}
  std::string_view name() const override { return "greater_equal"; }
  Traits traits() const override {
    return {.elementwise = true, .tiled = true, .strided = true, .differentiable = false};
  }
};

// A gradient by the forward's input or output: equal shapes only.
class Backward : public Binary {
 public:
  using Binary::Binary;
  Traits traits() const override {
    return {.elementwise = true, .tiled = true, .strided = true, .differentiable = false};
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    check_floating(name(), in);
    if (in[0].shape != in[1].shape) refuse(name(), in, "equal shapes");
    return {in[0]};
  }
};

class GeluBackward final : public Backward {
 public:
  GeluBackward() : Backward(BinaryKind::kGeluBackward) {}
  std::string_view name() const override { return "gelu_backward"; }
};

class SiluBackward final : public Backward {
 public:
  SiluBackward() : Backward(BinaryKind::kSiluBackward) {}
  std::string_view name() const override { return "silu_backward"; }
};

class ReluBackward final : public Backward {
 public:
  ReluBackward() : Backward(BinaryKind::kReluBackward) {}
  std::string_view name() const override { return "relu_backward"; }
};

// --- One operand ------------------------------------------------------------------------------------------------

// A piece of T whose only operand may be one element for all: then run(1) computes it, and it is repeated.
template <typename T, typename Run>
void each_or_one(const TileArgs& args, const Run& run) {
  if (args.count == 0) return;
  run(args.inputs[0].step == 0 ? 1 : args.count);
  auto* const y = static_cast<T*>(args.output);
  if (args.inputs[0].step == 0) std::fill_n(y + 1, args.count - 1, y[0]);
}

class Unary : public Op {
 public:
  explicit Unary(UnaryKind kind, double parameter = 0) : kind_(kind), parameter_(parameter) {}
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    return {in[0]};
  }
  void run_cpu(KernelArgs& args) const override {
    with_floating(args.outputs[0].dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* x = args.inputs[0].data<T>();
      T* y = args.outputs[0].data<T>();
      parallel_for(threads_of(args), args.outputs[0].elements(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        unary_kernel(kind_, x + begin, y + begin, end - begin, parameter_);
      });
    });
  }
  void run_tile_cpu(const TileArgs& args) const override {
    with_floating(args.dtype, [&](auto zero) {
      using T = decltype(zero);
      each_or_one<T>(args, [&](std::int64_t n) {
        unary_kernel(kind_, static_cast<const T*>(args.inputs[0].data), static_cast<T*>(args.output), n, parameter_);
      });
    });
  }

 protected:
  static Traits reading(std::uint32_t inputs, std::uint32_t outputs) {
    return {.elementwise = true, .tiled = true, .gradient_reads_inputs = inputs, .gradient_reads_outputs = outputs};
  }
  double parameter() const { return parameter_; }

 private:
  UnaryKind kind_;
  double parameter_;
};

class Neg final : public Unary {
 public:
  Neg() : Unary(UnaryKind::kNeg) {}
  std::string_view name() const override { return "neg"; }
  Traits traits() const override { return reading(0, 0); }
  Tensors vjp(const VjpArgs& args) const override { return {neg(args.gradients[0])}; }
};

class Exp final : public Unary {
 public:
  Exp() : Unary(UnaryKind::kExp) {}
  std::string_view name() const override { return "exp"; }
  Traits traits() const override { return reading(0, 1); }
  Tensors vjp(const VjpArgs& args) const override { return {mul(args.gradients[0], args.outputs[0])}; }
};

class Log final : public Unary {
 public:
  Log() : Unary(UnaryKind::kLog) {}
  std::string_view name() const override { return "log"; }
  Traits traits() const override { return reading(1, 0); }
  Tensors vjp(const VjpArgs& args) const override { return {div(args.gradients[0], args.inputs[0])}; }
};

class Sqrt final : public Unary {
 public:
  Sqrt() : Unary(UnaryKind::kSqrt) {}
  std::string_view name() const override { return "sqrt"; }
  Traits traits() const override { return reading(0, 1); }
  Tensors vjp(const VjpArgs& args) const override { return {scale(div(args.gradients[0], args.outputs[0]), 0.5)}; }
};

class Tanh final : public Unary {
 public:
  Tanh() : Unary(UnaryKind::kTanh) {}
  std::string_view name() const override { return "tanh"; }
  Traits traits() const override { return reading(0, 1); }
  Tensors vjp(const VjpArgs& args) const override {
    return {mul(args.gradients[0], add_scalar(neg(square(args.outputs[0])), 1.0))};
  }
};

class Relu final : public Unary {
 public:
  Relu() : Unary(UnaryKind::kRelu) {}
  std::string_view name() const override { return "relu"; }
  Traits traits() const override { return reading(0, 1); }
  Tensors vjp(const VjpArgs& args) const override { return {relu_backward(args.outputs[0], args.gradients[0])}; }
};

class Gelu final : public Unary {
 public:
  Gelu() : Unary(UnaryKind::kGelu) {}
  std::string_view name() const override { return "gelu"; }
  Traits traits() const override { return reading(1, 0); }
  Tensors vjp(const VjpArgs& args) const override { return {gelu_backward(args.inputs[0], args.gradients[0])}; }
};

class Silu final : public Unary {
 public:
  Silu() : Unary(UnaryKind::kSilu) {}
  std::string_view name() const override { return "silu"; }
  Traits traits() const override { return reading(1, 0); }
  Tensors vjp(const VjpArgs& args) const override { return {silu_backward(args.inputs[0], args.gradients[0])}; }
};

class Square final : public Unary {
 public:
  Square() : Unary(UnaryKind::kSquare) {}
  std::string_view name() const override { return "square"; }
  Traits traits() const override { return reading(1, 0); }
  Tensors vjp(const VjpArgs& args) const override { return {scale(mul(args.gradients[0], args.inputs[0]), 2.0)}; }
};

class Scale final : public Unary {
 public:
  explicit Scale(double factor) : Unary(UnaryKind::kScale, factor) {}
  std::string_view name() const override { return "scale"; }
  Traits traits() const override { return reading(0, 0); }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("factor", parameter()); }
  Tensors vjp(const VjpArgs& args) const override { return {scale(args.gradients[0], parameter())}; }
};

class AddScalar final : public Unary {
 public:
  explicit AddScalar(double value) : Unary(UnaryKind::kAddScalar, value) {}
  std::string_view name() const override { return "add_scalar"; }
  Traits traits() const override { return reading(0, 0); }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("value", parameter()); }
  Tensors vjp(const VjpArgs& args) const override { return {args.gradients[0]}; }
};

// --- Others -----------------------------------------------------------------------------------------------------

template <typename To, typename From>
To converted(From value) {
  if constexpr (!std::is_integral_v<From> && std::is_integral_v<To>) {
    const auto wide = static_cast<Compute<From>>(value);
    if (std::isnan(wide)) return 0;
    // The limit itself may round up to one more than To holds.
    if (wide >= static_cast<Compute<From>>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    if (wide <= static_cast<Compute<From>>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
  }
  return static_cast<To>(value);
}

template <typename From, typename To>
void convert(const From* x, To* y, std::int64_t n) {
  if constexpr (std::is_same_v<From, To>) {
    std::copy_n(x, n, y);
  } else if constexpr (std::is_same_v<Compute<From>, float> && std::is_same_v<Compute<To>, float>) {
    convert_kernel(x, y, n);
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i] = converted<To>(x[i]);
  }
}

template <typename F>
void with_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::kF32:
      return f(float{});
    case DType::kF64:
      return f(double{});
    case DType::kI32:
      return f(std::int32_t{});
    case DType::kI64:
      return f(std::int64_t{});
    case DType::kBF16:
      return f(bfloat16{});
  }
}

class Cast final : public Op {
 public:
  explicit Cast(DType to) : to_(to) {}
  std::string_view name() const override { return "cast"; }
  Traits traits() const override {
    return {.elementwise = true,
            .tiled = true,
            .differentiable = is_floating(to_),
            .gradient_reads_inputs = 0,
            .gradient_reads_outputs = 0};
  }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("dtype", name_of(to_)); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    return {{to_, in[0].shape, in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    if (!is_floating(to_)) return Op::vjp(args);
    if (!is_floating(args.inputs[0].dtype())) return {Tensor()};
    return {cast(args.gradients[0], args.inputs[0].dtype())};
  }
  void run_cpu(KernelArgs& args) const override {
    with_type(args.inputs[0].dtype(), [&](auto from) {
      with_type(to_, [&](auto to) {
        const auto* x = args.inputs[0].data<decltype(from)>();
        auto* y = args.outputs[0].data<decltype(to)>();
        parallel_for(threads_of(args), args.outputs[0].elements(), kGrain,
                     [&](std::int64_t begin, std::int64_t end) { convert(x + begin, y + begin, end - begin); });
      });
    });
  }
  void run_tile_cpu(const TileArgs& args) const override {
    with_type(args.inputs[0].dtype, [&](auto from) {
      with_type(to_, [&](auto to) {
        using To = decltype(to);
        each_or_one<To>(args, [&](std::int64_t n) {
          convert(static_cast<const decltype(from)*>(args.inputs[0].data), static_cast<To*>(args.output), n);
        });
      });
    });
  }

 private:
  DType to_;
};

class OnesLike final : public Op {
 public:
  std::string_view name() const override { return "ones_like"; }
  Traits traits() const override {
    return {.elementwise = true,
            .tiled = true,
            .constant = true,
            .strided = true,
            .gradient_reads_inputs = 0,
            .gradient_reads_outputs = 0};
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    return {in[0]};
  }
  Tensors vjp(const VjpArgs&) const override { return {Tensor()}; }
  void run_tile_cpu(const TileArgs& args) const override {
    with_floating(args.dtype, [&](auto zero) {
      using T = decltype(zero);
      std::fill_n(static_cast<T*>(args.output), args.count, static_cast<T>(1));
    });
  }
  void run_cpu(KernelArgs& args) const override {
    with_floating(args.outputs[0].dtype(), [&](auto zero) {
      std::fill_n(args.outputs[0].data<decltype(zero)>(), args.outputs[0].elements(), static_cast<decltype(zero)>(1));
    });
  }
};

const RegisterOp kRegistered[] = {
    RegisterOp("add", shared_op_of<Add>),
    RegisterOp("sub", shared_op_of<Sub>),
    RegisterOp("mul", shared_op_of<Mul>),
    RegisterOp("div", shared_op_of<Div>),
    RegisterOp("maximum", shared_op_of<Maximum>),
    RegisterOp("greater_equal", shared_op_of<GreaterEqual>),
    RegisterOp("gelu_backward", shared_op_of<GeluBackward>),
    RegisterOp("silu_backward", shared_op_of<SiluBackward>),
    RegisterOp("relu_backward", shared_op_of<ReluBackward>),
    RegisterOp("neg", shared_op_of<Neg>),
    RegisterOp("exp", shared_op_of<Exp>),
    RegisterOp("log", shared_op_of<Log>),
    RegisterOp("sqrt", shared_op_of<Sqrt>),
    RegisterOp("tanh", shared_op_of<Tanh>),
    RegisterOp("relu", shared_op_of<Relu>),
    RegisterOp("gelu", shared_op_of<Gelu>),
    RegisterOp("silu", shared_op_of<Silu>),
    RegisterOp("square", shared_op_of<Square>),
    RegisterOp("scale"),
    RegisterOp("add_scalar"),
    RegisterOp("cast"),
    RegisterOp("ones_like", shared_op_of<OnesLike>),
};

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return apply_one(shared_op<Add>(), {a, b}); }
Tensor sub(const Tensor& a, const Tensor& b) { return apply_one(shared_op<Sub>(), {a, b}); }
Tensor mul(const Tensor& a, const Tensor& b) { return apply_one(shared_op<Mul>(), {a, b}); }
Tensor div(const Tensor& a, const Tensor& b) { return apply_one(shared_op<Div>(), {a, b}); }
Tensor maximum(const Tensor& a, const Tensor& b) { return apply_one(shared_op<Maximum>(), {a, b}); }
Tensor greater_equal(const Tensor& a, const Tensor& b) { return apply_one(shared_op<GreaterEqual>(), {a, b}); }
Tensor gelu_backward(const Tensor& x, const Tensor& dy) { return apply_one(shared_op<GeluBackward>(), {x, dy}); }
Tensor silu_backward(const Tensor& x, const Tensor& dy) { return apply_one(shared_op<SiluBackward>(), {x, dy}); }
Tensor relu_backward(const Tensor& y, const Tensor& dy) { return apply_one(shared_op<ReluBackward>(), {y, dy}); }
Tensor neg(const Tensor& x) { return apply_one(shared_op<Neg>(), {x}); }
Tensor exp(const Tensor& x) { return apply_one(shared_op<Exp>(), {x}); }
Tensor log(const Tensor& x) { return apply_one(shared_op<Log>(), {x}); }
Tensor sqrt(const Tensor& x) { return apply_one(shared_op<Sqrt>(), {x}); }
Tensor tanh(const Tensor& x) { return apply_one(shared_op<Tanh>(), {x}); }
Tensor relu(const Tensor& x) { return apply_one(shared_op<Relu>(), {x}); }
Tensor gelu(const Tensor& x) { return apply_one(shared_op<Gelu>(), {x}); }
Tensor silu(const Tensor& x) { return apply_one(shared_op<Silu>(), {x}); }
Tensor square(const Tensor& x) { return apply_one(shared_op<Square>(), {x}); }
Tensor scale(const Tensor& x, double factor) { return apply_one(std::make_shared<Scale>(factor), {x}); }
Tensor add_scalar(const Tensor& x, double value) { return apply_one(std::make_shared<AddScalar>(value), {x}); }
Tensor cast(const Tensor& x, DType dtype) {
  return x.dtype() == dtype ? x : apply_one(std::make_shared<Cast>(dtype), {x});
}
Tensor ones_like(const Tensor& x) { return apply_one(shared_op<OnesLike>(), {x}); }

}  // namespace convoy
