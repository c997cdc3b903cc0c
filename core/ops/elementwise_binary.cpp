// Operators of two operands, and the gradients that are made of two.
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/reduce.h"
#include "core/ops/scratch.h"

namespace convoy {
namespace {

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

}  // namespace convoy
