#include "core/ops/matmul.h"

#include <array>
#include <cstddef>
#include <memory>
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
#include "core/ops/scratch.h"
#include "core/ops/view.h"
#include "core/tensor/derived_forms.h"

namespace convoy {
namespace {

// m·n products and sums over k terms each.
Cost product_cost(std::int64_t results, std::int64_t k, std::span<const Spec> in, std::span<const Spec> out) {
  return {.flops = 2.0 * static_cast<double>(results) * static_cast<double>(k), .bytes = bytes_of(in, out)};
}

// --- bf16 ---------------------------------------------------------------------------------------------------------

// A product with bf16 operands, ready to run. An f32 `b` beside a bf16 `a` is a master weight: it is rounded to bf16,
// and where it is state the form in which it is read is kept until it is written.
class HalfProduct {
 public:
  // Of `problem` but for its pointers.
  HalfProduct(const PrepareArgs& args, GemmProblem problem, const Tensor& b)
      : device_(cpu_of(args)), is_master_(b.dtype() == DType::kF32) {
    const bool native = device_.native_bf16() && problem.k > 0;
    if (is_master_) {
      forms_ = b.derived_forms();
      if (native) native_form_.emplace(device_, problem.k, problem.n, problem.b);
      const std::size_t bytes = native ? native_form_->bytes() : panel_bytes(problem.k, problem.n);
      if (forms_ == nullptr) {
        own_form_ = args.scratch.take(bytes);
      } else {
        form_ = &forms_->form({.offset = b.layout().offset,
                               .rows = problem.k,
                               .columns = problem.n,
                               .row_stride = problem.b.row,
                               .column_stride = problem.b.column,
                               .format = native ? "oneDNN's bf16 blocks" : "bf16 panels"},
                              bytes);
      }
    }
    problem.b_is_prepared = is_master_;
    if (native) {
      native_ = std::make_unique<NativeGemm>(device_, args.scratch, problem);
    } else {
      scratch_ = args.scratch.take<float>(packed_gemm_scratch(device_, problem));
    }
  }

  void run(GemmProblem problem) const {
    if (is_master_) {
      const auto make = [&](void* form) {
        if (native_form_) {
          native_form_->make(problem.b.data, form);
        } else {
          prepare_panels(device_, problem.k, problem.n, problem.b, form);
        }
      };
      if (form_ == nullptr) make(own_form_);
      problem.b.data = form_ == nullptr ? own_form_ : forms_->get(*form_, make);
      problem.b_is_prepared = true;
    }
    if (native_ != nullptr) {
      native_->run(problem);
    } else {
      packed_gemm(device_, problem, scratch_);
    }
  }

 private:
  CpuDevice& device_;
  bool is_master_;
  DerivedForms* forms_ = nullptr;
  DerivedForms::Form* form_ = nullptr;
  void* own_form_ = nullptr;
  std::optional<NativeForm> native_form_{};
  std::unique_ptr<NativeGemm> native_{};
  float* scratch_ = nullptr;
};

GemmOperand operand(const Tensor& x, bool transposed) {
  const std::int64_t width = x.shape()[-1];
  return {.data = x.raw(), .dtype = x.dtype(), .row = transposed ? 1 : width, .column = transposed ? width : 1};
}

Tensor as_rows(const Tensor& x) { return x.shape().rank() == 2 ? x : reshape(x, {rows_of(x.shape()), x.shape()[-1]}); }

// c = a·b, plus the bias if there is one. `args` for device and scratch.
PreparedPtr prepare_product(const PrepareArgs& args, const MatmulProblem& problem, const Tensor& a, const Tensor& b,
                            const Tensor& bias, const Tensor& c) {
  if (a.dtype() == DType::kF32) {
    return prepared([product = PreparedMatmul(cpu_of(args), args.scratch, problem, bias.defined()), a = a.data<float>(),
                     b = b.data<float>(), bias = bias.defined() ? bias.data<float>() : nullptr,
                     c = c.data<float>()] { product.run(a, b, bias, c); });
  }
  const std::int64_t panels = matmul_panels(problem);
  return prepared([scratch =
                       WorkerScratch<double>(args.scratch, threads_of(args), panels, matmul_panel_scratch(problem)),
                   problem, panels, a = a.data<double>(), b = b.data<double>(),
                   bias = bias.defined() ? bias.data<double>() : nullptr, c = c.data<double>()] {
    scratch.for_each(panels, [&](std::int64_t i, double* own) { matmul_panel_kernel(problem, i, a, b, bias, c, own); });
  });
}

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

  Cost cost(std::span<const Spec> in, std::span<const Spec> out) const override {
    return product_cost(out[0].shape.elements(), inner(in[0].shape, transpose_a_, -1), in, out);
  }

  PreparedPtr prepare(const PrepareArgs& args) const override {
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
    if (args.inputs[0].dtype() == DType::kBF16) return prepare_half(args, problem);
    return prepare_product(args, problem, args.inputs[0], args.inputs[1], Tensor(), args.outputs[0]);
  }

 private:
  static bool folds(const Shape& a, const Shape& b) { return b.rank() == 2 && a.rank() > 2; }
  // The extent of axis -1 or -2 as the product sees it.
  static std::int64_t inner(const Shape& shape, bool transposed, int axis) {
    return shape[transposed ? -3 - axis : axis];
  }

  PreparedPtr prepare_half(const PrepareArgs& args, const MatmulProblem& problem) const {
    const Tensor& a = args.inputs[0];
    const Tensor& b = args.inputs[1];
    const Tensor& c = args.outputs[0];
    const GemmProblem first{.m = problem.m,
                            .n = problem.n,
                            .k = problem.k,
                            .a = operand(a, transpose_a_),
                            .b = operand(b, transpose_b_),
                            .dtype = c.dtype(),
                            .y = c.raw()};
    const auto bytes = [](const Tensor& x, std::int64_t elements) {
      return elements * static_cast<std::int64_t>(size_of(x.dtype()));
    };
    return prepared([product = HalfProduct(args, first, b), first, count = problem.batch,
                     a_step = bytes(a, problem.m * problem.k), b_step = bytes(b, problem.k * problem.n),
                     c_step = bytes(c, problem.m * problem.n)] {
      for (std::int64_t i = 0; i < count; ++i) {
        GemmProblem one = first;
        one.a.data = static_cast<const std::byte*>(first.a.data) + i * a_step;
        one.b.data = static_cast<const std::byte*>(first.b.data) + i * b_step;
        one.y = static_cast<std::byte*>(first.y) + i * c_step;
        product.run(one);
      }
    });
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

  // y of gelu, from z. In bf16 z was rounded only behind the activation.
  std::optional<Again> again(std::size_t output, std::span<const Spec> in) const override {
    if (activation_ != Activation::kGelu || output != 0 || in[0].dtype == DType::kBF16) return {};
    return Again{.op = make_op("gelu"), .operands = {~1}};
  }

  Cost cost(std::span<const Spec> in, std::span<const Spec> out) const override {
    return product_cost(out[0].shape.elements(), in[1].shape[0], in, out);
  }

  PreparedPtr prepare(const PrepareArgs& args) const override {
    const Tensor& x = args.inputs[0];
    const Tensor& weight = args.inputs[1];
    if (x.dtype() == DType::kBF16) return prepare_half(args);
    const MatmulProblem problem{.m = rows_of(x.shape()),
                                .n = weight.shape()[1],
                                .k = weight.shape()[0],
                                .relu = activation_ == Activation::kRelu};
    const Tensor bias = args.inputs.size() == 3 ? args.inputs[2] : Tensor();
    PreparedPtr product = prepare_product(args, problem, x, weight, bias, args.outputs.back());
    if (activation_ != Activation::kGelu) return product;
    return with_wide(x.dtype(), [&]<typename T>(T) {
      return prepared([product = std::move(product), z = args.outputs[1].data<T>(), y = args.outputs[0].data<T>(),
                       n = args.outputs[0].elements(), threads = threads_of(args)](const StepKey& key) {
        product->run(key);
        parallel_for(threads, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
          gelu_forward_kernel(z + begin, y + begin, end - begin);
        });
      });
    });
  }

 private:
  PreparedPtr prepare_half(const PrepareArgs& args) const {
    const Tensor& weight = args.inputs[1];
    const bool gelu = activation_ == Activation::kGelu;
    const GemmProblem problem{.m = rows_of(args.inputs[0].shape()),
                              .n = weight.shape()[1],
                              .k = weight.shape()[0],
                              .a = operand(args.inputs[0], false),
                              .b = operand(weight, false),
                              .bias = args.inputs.size() == 3 ? args.inputs[2].data<float>() : nullptr,
                              .activation = activation_,
                              .dtype = args.outputs[0].dtype(),
                              .y = args.outputs[0].raw(),
                              .z = gelu ? args.outputs[1].raw() : nullptr};
    return prepared([product = HalfProduct(args, problem, weight), problem] { product.run(problem); });
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
