// Operators of one operand, of its dtype.
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/elementwise_one.h"

namespace convoy {
namespace {

class Unary : public Op {
 public:
  explicit Unary(UnaryKind kind, double parameter = 0) : kind_(kind), parameter_(parameter) {}
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    return {in[0]};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return for_elements<T, T>(args, [kind = kind_, parameter = parameter_](const T* x, T* y, std::int64_t n) {
        unary_kernel(kind, x, y, n, parameter);
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
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepared([y = elements_of<T>(args.outputs[0])] { std::fill(y.begin(), y.end(), static_cast<T>(1)); });
    });
  }
};

const RegisterOp kRegistered[] = {
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
    RegisterOp("ones_like", shared_op_of<OnesLike>),
};

}  // namespace

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
Tensor ones_like(const Tensor& x) { return apply_one(shared_op<OnesLike>(), {x}); }

}  // namespace convoy
