#include "core/ops/matmul.h"

#include <array>
#include <optional>
#include <utility>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/matmul_kernels.h"
#include "core/ops/native_gemm.h"
#include "core/ops/packed_gemm.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "core/tensor/derived_forms.h"

namespace convoy {
namespace {

// --- bf16 ---------------------------------------------------------------------------------------------------------

// A product with bf16 operands. An f32 `b` beside a bf16 `a` is a master weight: it is rounded to bf16, and where it is
// state the form in which it is read is kept until it is written.
void run_half(KernelArgs& args, GemmProblem problem, const Tensor& b) {
  auto& device = static_cast<CpuDevice&>(args.device);
  const bool native = device.native_bf16();
  const std::int64_t k = problem.k, n = problem.n;
  DerivedForms* const forms = b.dtype() == DType::kF32 ? b.derived_forms() : nullptr;
  if (forms != nullptr) {
    const DerivedForms::Key key{.offset = b.layout().offset,
                                .rows = k,
                                .columns = n,
                                .row_stride = problem.b.row,
                                .column_stride = problem.b.column,
                                .format = native ? "oneDNN's bf16 blocks" : "bf16 panels"};
    problem.b.data = forms->get(key, native ? native_bytes(device, k, n) : panel_bytes(k, n), [&](void* form) {
      native ? prepare_native(device, k, n, problem.b, form) : prepare_panels(device, k, n, problem.b, form);
    });
    problem.b_is_prepared = true;
  }
  native ? native_gemm(device, problem) : packed_gemm(device, problem);
}

GemmOperand operand(const Tensor& x, bool transposed) {
  const std::int64_t width = x.shape()[-1];
  return {.data = x.raw(), .dtype = x.dtype(), .row = transposed ? 1 : width, .column = transposed ? width : 1};
}

void* offset(const Tensor& x, std::int64_t elements) {
  return static_cast<std::byte*>(x.raw()) + elements * static_cast<std::int64_t>(size_of(x.dtype()));
}

Tensor as_rows(const Tensor& x) { return x.shape().rank() == 2 ? x : reshape(x, {rows_of(x.shape()), x.shape()[-1]}); }

class Matmul final : public Op {
 public:
  // dtype: of the result.
  Matmul(bool transpose_a, bool transpose_b, DType dtype)
      : transpose_a_(transpose_a), transpose_b_(transpose_b), dtype_(dtype) {}
  std::string_view name() const override { return "matmul"; }
  Traits traits() const override { return {.gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("transpose_a", std::int64_t{transpose_a_});
    visitor.visit("transpose_b", std::int64_t{transpose_b_});
    visitor.visit("dtype", name_of(dtype_));
  }

  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    const bool half = in[0].dtype == DType::kBF16;
    const bool master = half && in[1].dtype == DType::kF32 && in[1].shape.rank() == 2 && !transpose_a_;
    if (!master) check_floating(name(), in);
    if (dtype_ != in[0].dtype && dtype_ != compute_dtype(in[0].dtype))
      refuse(name(), in, fmt::format("operands whose product is {}", name_of(dtype_)));
    const Shape& a = in[0].shape;
    const Shape& b = in[1].shape;
    if (a.rank() < 2 || b.rank() < 2) refuse(name(), in, "matrices of rank 2 or more");
    if (inner(a, transpose_a_, -1) != inner(b, transpose_b_, -2))
      refuse(name(), in, "equal inner dimensions under " + describe(*this));
    Shape shape;
    for (int i = 0; i + 2 < a.rank(); ++i) shape.append(a[i]);
    if (!folds(a, b)) {
      bool equal = a.rank() == b.rank();
      for (int i = 0; equal && i + 2 < a.rank(); ++i) equal = a[i] == b[i];
      if (!equal) refuse(name(), in, "equal leading dimensions, or a second operand of rank 2");
    } else if (transpose_a_) {
      refuse(name(), in, "a first operand that is not transposed where the second has fewer dimensions");
    }
    shape.append(inner(a, transpose_a_, -2));
    shape.append(inner(b, transpose_b_, -1));
    return {{dtype_, shape, in[0].device}};
  }

  Tensors vjp(const VjpArgs& args) const override {
    const bool fold = folds(args.inputs[0].shape(), args.inputs[1].shape());
    const auto rows = [&](const Tensor& x) { return fold ? as_rows(x) : x; };
    const Tensor& a = args.inputs[0];
    const Tensor& b = args.inputs[1];
    const Tensor dc = args.gradients[0].dtype() == a.dtype() ? args.gradients[0] : cast(args.gradients[0], a.dtype());
    Tensors result(2);
    if (args.needed[0])
      result[0] = transpose_a_ ? matmul(b, dc, transpose_b_, true) : matmul(dc, b, false, !transpose_b_);
    if (args.needed[1]) {
      result[1] = transpose_b_ ? matmul(rows(dc), rows(a), true, transpose_a_, b.dtype())
                               : matmul(rows(a), rows(dc), !transpose_a_, false, b.dtype());
    }
    return result;
  }

  void run_cpu(KernelArgs& args) const override {
    const Shape& a = args.inputs[0].shape();
    const Shape& b = args.inputs[1].shape();
    MatmulProblem problem{.n = inner(b, transpose_b_, -1),
                          .k = inner(a, transpose_a_, -1),
                          .transpose_a = transpose_a_,
                          .transpose_b = transpose_b_};
    if (b.rank() == 2) {
      problem.m = transpose_a_ ? a[-1] : rows_of(a);
    } else {
      problem.m = inner(a, transpose_a_, -2);
      for (int i = 0; i + 2 < a.rank(); ++i) problem.batch *= a[i];
    }
    if (args.inputs[0].dtype() == DType::kBF16) return run_half_batch(args, problem);
    with_wide(args.inputs[0].dtype(), [&]<typename T>(T) {
      matmul_kernel(static_cast<CpuDevice&>(args.device), problem, args.inputs[0].data<T>(), args.inputs[1].data<T>(),
                    nullptr, args.outputs[0].data<T>());
    });
  }

 private:
  static bool folds(const Shape& a, const Shape& b) { return b.rank() == 2 && a.rank() > 2; }
  // The extent of axis -1 or -2 as the product sees it.
  static std::int64_t inner(const Shape& shape, bool transposed, int axis) {
    return shape[transposed ? -3 - axis : axis];
  }

  void run_half_batch(KernelArgs& args, const MatmulProblem& problem) const {
    const Tensor& a = args.inputs[0];
    const Tensor& b = args.inputs[1];
    const Tensor& c = args.outputs[0];
    for (std::int64_t i = 0; i < problem.batch; ++i) {
      GemmOperand left = operand(a, transpose_a_);
      GemmOperand right = operand(b, transpose_b_);
      left.data = offset(a, i * problem.m * problem.k);
      right.data = offset(b, i * problem.k * problem.n);
      run_half(args,
               {.m = problem.m,
                .n = problem.n,
                .k = problem.k,
                .a = left,
                .b = right,
                .dtype = c.dtype(),
                .y = offset(c, i * problem.m * problem.n)},
               b);
    }
  }

  bool transpose_a_;
  bool transpose_b_;
  DType dtype_;
};

constexpr std::array<std::string_view, 3> kActivationNames = {"none", "relu", "gelu"};

// Inputs x, weight and perhaps bias; outputs y and, for gelu, what it was applied to.
class LinearOp final : public Op {
 public:
  explicit LinearOp(Activation activation) : activation_(activation) {}
  std::string_view name() const override { return "linear"; }
  Traits traits() const override {
    const std::uint32_t outputs = activation_ == Activation::kNone ? 0 : activation_ == Activation::kRelu ? 1 : 2;
    return {.gradient_reads_inputs = 3, .gradient_reads_outputs = outputs};
  }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("activation", kActivationNames[static_cast<std::size_t>(activation_)]);
  }

  Specs infer(std::span<const Spec> in) const override {
    if (in.size() != 3) check_count(name(), in, 2);
    check_mixed(name(), in, 1);
    const Shape& x = in[0].shape;
    const Shape& weight = in[1].shape;
    if (x.rank() < 1 || weight.rank() != 2 || x[-1] != weight[0] || (in.size() == 3 && in[2].shape != Shape{weight[1]}))
      refuse(name(), in, "x [..., in], weight [in, out] and bias [out]");
    Spec out = in[0];
    out.shape[-1] = weight[1];
    return Specs(activation_ == Activation::kGelu ? 2 : 1, out);
  }

  Tensors vjp(const VjpArgs& args) const override {
    const Tensor& x = args.inputs[0];
    const Tensor& dy = args.gradients[0];
    const Tensor dz = as_rows(activation_ == Activation::kRelu   ? relu_backward(args.outputs[0], dy)
                              : activation_ == Activation::kGelu ? gelu_backward(args.outputs[1], dy)
                                                                 : dy);
    Tensors result(args.inputs.size());
    if (args.needed[0]) result[0] = reshape(matmul(dz, args.inputs[1], false, true), x.shape());
    if (args.needed[1]) result[1] = matmul(as_rows(x), dz, true, false, args.inputs[1].dtype());
    if (args.inputs.size() == 3 && args.needed[2]) result[2] = sum(dz, {0}, false, args.inputs[2].dtype());
    return result;
  }

  void run_cpu(KernelArgs& args) const override {
    const Shape& x = args.inputs[0].shape();
    const Shape& weight = args.inputs[1].shape();
    if (args.inputs[0].dtype() == DType::kBF16) return run_half_precision(args);
    const MatmulProblem problem{
        .m = rows_of(x), .n = weight[1], .k = weight[0], .relu = activation_ == Activation::kRelu};
    with_wide(args.inputs[0].dtype(), [&]<typename T>(T) {
      T* const product = args.outputs.back().data<T>();
      matmul_kernel(static_cast<CpuDevice&>(args.device), problem, args.inputs[0].data<T>(), args.inputs[1].data<T>(),
                    args.inputs.size() == 3 ? args.inputs[2].data<T>() : nullptr, product);
      if (activation_ != Activation::kGelu) return;
      T* const result = args.outputs[0].data<T>();
      parallel_for(threads_of(args), args.outputs[0].elements(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        gelu_forward_kernel(product + begin, result + begin, end - begin);
      });
    });
  }

 private:
  void run_half_precision(KernelArgs& args) const {
    const Tensor& weight = args.inputs[1];
    const bool gelu = activation_ == Activation::kGelu;
    run_half(args,
             {.m = rows_of(args.inputs[0].shape()),
              .n = weight.shape()[1],
              .k = weight.shape()[0],
              .a = operand(args.inputs[0], false),
              .b = operand(weight, false),
              .bias = args.inputs.size() == 3 ? args.inputs[2].data<float>() : nullptr,
              .activation = activation_,
              .dtype = args.outputs[0].dtype(),
              .y = args.outputs[0].raw(),
              .z = gelu ? args.outputs[1].raw() : nullptr},
             weight);
  }

  Activation activation_;
};

const RegisterOp kMatmul("matmul", []() -> OpPtr { return std::make_shared<Matmul>(false, false, DType::kF32); });
const RegisterOp kLinear("linear", []() -> OpPtr { return std::make_shared<LinearOp>(Activation::kNone); });

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b, std::optional<DType> dtype) {
  return apply_one(std::make_shared<Matmul>(transpose_a, transpose_b, dtype.value_or(a.dtype())), {a, b});
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  const OpPtr op = std::make_shared<LinearOp>(activation);
  return bias.defined() ? apply_one(op, {x, weight, bias}) : apply_one(op, {x, weight});
}

}  // namespace convoy
