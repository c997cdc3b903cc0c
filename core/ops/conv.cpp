#include "core/ops/conv.h"

#include <span>
#include <type_traits>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/conv_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/reduce.h"

namespace convoy {
namespace {

using Extents = std::array<std::int64_t, 2>;

void visit_attributes(AttributeVisitor& visitor, const Conv2dAttributes& attributes) {
  visitor.visit("stride", std::span<const std::int64_t>(attributes.stride));
  visitor.visit("padding", std::span<const std::int64_t>(attributes.padding));
  visitor.visit("dilation", std::span<const std::int64_t>(attributes.dilation));
  visitor.visit("groups", attributes.groups);
}

void check_attributes(const Conv2dAttributes& a) {
  for (std::size_t i = 0; i < 2; ++i) {
    if (a.stride[i] < 1 || a.padding[i] < 0 || a.dilation[i] < 1 || a.groups < 1)
      fail(ErrorCode::kInvalidArgument,
           "conv2d: stride {}, padding {}, dilation {}, groups {}; expected each >= 1, and padding >= 0", a.stride[i],
           a.padding[i], a.dilation[i], a.groups);
  }
}

// The problem that x [N, H, W, C] and weight [O, C/groups, kh, kw] pose, the output's extents computed (below 1 where
// the kernel does not fit).
ConvProblem problem_of(const Conv2dAttributes& attributes, const Shape& x, const Shape& weight) {
  ConvProblem problem{.n = x[0],
                      .c = x[3],
                      .o = weight[0],
                      .in = {x[1], x[2]},
                      .kernel = {weight[2], weight[3]},
                      .stride = attributes.stride,
                      .padding = attributes.padding,
                      .dilation = attributes.dilation,
                      .groups = attributes.groups};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t room = problem.in[i] + 2 * problem.padding[i] - problem.dilation[i] * (problem.kernel[i] - 1);
    problem.out[i] = room < 1 ? 0 : (room - 1) / problem.stride[i] + 1;
  }
  return problem;
}

// What x, weight and y have to be, for messages.
constexpr std::string_view kShapes = "x [N, H, W, C], weight [O, C/groups, kh, kw]";

// Whether the shapes fit together and the kernel into the padded image.
bool is_sound(const Conv2dAttributes& attributes, const Shape& x, const Shape& weight) {
  if (x.rank() != 4 || weight.rank() != 4 || x[3] < 1 || weight[0] < 1 || weight[2] < 1 || weight[3] < 1) return false;
  if (x[3] % attributes.groups != 0 || weight[0] % attributes.groups != 0) return false;
  if (weight[1] != x[3] / attributes.groups) return false;
  const ConvProblem problem = problem_of(attributes, x, weight);
  return problem.out[0] >= 1 && problem.out[1] >= 1;
}

// As the kernels of T's images take them.
template <typename T>
auto kernel_weights(const Tensor& weight) {
  if constexpr (std::is_same_v<T, double>) {
    return weight.data<double>();
  } else {
    return ConvWeights{.data = weight.data<float>(), .forms = weight.derived_forms(), .offset = weight.layout().offset};
  }
}

Shape y_shape(const ConvProblem& problem) { return {problem.n, problem.out[0], problem.out[1], problem.o}; }

// A product and a sum for each element of y and each weight that it takes.
Cost conv_cost(const Shape& y, const Shape& weight, std::span<const Spec> in, std::span<const Spec> out) {
  const double taps =
      static_cast<double>(weight.elements()) / static_cast<double>(std::max<std::int64_t>(1, weight[0]));
  return {.flops = 2.0 * static_cast<double>(y.elements()) * taps, .bytes = bytes_of(in, out)};
}

// (dy, weight) → dx.
class Conv2dBackwardData final : public Op {
 public:
  Conv2dBackwardData(const Conv2dAttributes& attributes, Extents in) : attributes_(attributes), in_(in) {
    check_attributes(attributes);
  }
  std::string_view name() const override { return "conv2d_backward_data"; }
  Traits traits() const override { return {.differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override {
    visit_attributes(visitor, attributes_);
    visitor.visit("in", std::span<const std::int64_t>(in_));
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    check_mixed(name(), in, 1);
    const Shape& dy = in[0].shape;
    const Shape& weight = in[1].shape;
    if (dy.rank() != 4 || weight.rank() != 4) refuse(name(), in, "dy and weight of rank 4");
    const Shape x{dy[0], in_[0], in_[1], weight[1] * attributes_.groups};
    if (!is_sound(attributes_, x, weight) || dy != y_shape(problem_of(attributes_, x, weight)))
      refuse(name(), in, fmt::format("dy and weight of a convolution of {} under {}", x.to_string(), describe(*this)));
    return {{in[0].dtype, x, in[0].device}};
  }
  Cost cost(std::span<const Spec> in, std::span<const Spec> out) const override {
    return conv_cost(in[0].shape, in[1].shape, in, out);
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const ConvProblem problem = problem_of(attributes_, args.outputs[0].shape(), args.inputs[1].shape());
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepare_conv2d_backward_data(cpu_of(args), args.scratch, problem, args.inputs[0].data<T>(),
                                          kernel_weights<T>(args.inputs[1]), args.outputs[0].data<T>());
    });
  }

 private:
  Conv2dAttributes attributes_;
  Extents in_;
};

// (x, dy) → dweight.
class Conv2dBackwardWeights final : public Op {
 public:
  Conv2dBackwardWeights(const Conv2dAttributes& attributes, Extents kernel) : attributes_(attributes), kernel_(kernel) {
    check_attributes(attributes);
  }
  std::string_view name() const override { return "conv2d_backward_weights"; }
  Traits traits() const override { return {.differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override {
    visit_attributes(visitor, attributes_);
    visitor.visit("kernel", std::span<const std::int64_t>(kernel_));
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    check_floating(name(), in);
    if (in[0].shape.rank() != 4 || in[1].shape.rank() != 4) refuse(name(), in, "x and dy of rank 4");
    const Shape weight{in[1].shape[3], in[0].shape[3] / attributes_.groups, kernel_[0], kernel_[1]};
    if (!is_sound(attributes_, in[0].shape, weight) ||
        in[1].shape != y_shape(problem_of(attributes_, in[0].shape, weight)))
      refuse(name(), in, "x and dy of a convolution under " + describe(*this));
    return {{compute_dtype(in[0].dtype), weight, in[0].device}};
  }
  Cost cost(std::span<const Spec> in, std::span<const Spec> out) const override {
    return conv_cost(in[1].shape, out[0].shape, in, out);
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const ConvProblem problem = problem_of(attributes_, args.inputs[0].shape(), args.outputs[0].shape());
    return with_floating(args.inputs[0].dtype(), [&]<typename T>(T) {
      return prepare_conv2d_backward_weights(cpu_of(args), args.scratch, problem, args.inputs[0].data<T>(),
                                             args.inputs[1].data<T>(), args.outputs[0].data<Compute<T>>());
    });
  }

 private:
  Conv2dAttributes attributes_;
  Extents kernel_;
};

// (x, weight[, bias]) → y.
class Conv2d final : public Op {
 public:
  explicit Conv2d(const Conv2dAttributes& attributes) : attributes_(attributes) { check_attributes(attributes); }
  std::string_view name() const override { return "conv2d"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0b011, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override { visit_attributes(visitor, attributes_); }

  Specs infer(std::span<const Spec> in) const override {
    if (in.size() != 3) check_count(name(), in, 2);
    check_mixed(name(), in, 1);
    if (!is_sound(attributes_, in[0].shape, in[1].shape) || (in.size() == 3 && in[2].shape != Shape{in[1].shape[0]}))
      refuse(name(), in,
             fmt::format("{} and bias [O], with a kernel inside the padded image under {}", kShapes, describe(*this)));
    return {{in[0].dtype, y_shape(problem_of(attributes_, in[0].shape, in[1].shape)), in[0].device}};
  }

  Tensors vjp(const VjpArgs& args) const override {
    const Tensor& x = args.inputs[0];
    const Tensor& weight = args.inputs[1];
    const Tensor& dy = args.gradients[0];
    Tensors result(args.inputs.size());
    if (args.needed[0]) {
      result[0] = conv2d_backward_data(dy, weight, {x.shape()[1], x.shape()[2]}, attributes_);
    }
    if (args.needed[1]) {
      result[1] = conv2d_backward_weights(x, dy, {weight.shape()[2], weight.shape()[3]}, attributes_);
    }
    if (args.inputs.size() == 3 && args.needed[2]) result[2] = sum(dy, {0, 1, 2}, false, weight.dtype());
    return result;
  }

  Cost cost(std::span<const Spec> in, std::span<const Spec> out) const override {
    return conv_cost(out[0].shape, in[1].shape, in, out);
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const ConvProblem problem = problem_of(attributes_, args.inputs[0].shape(), args.inputs[1].shape());
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepare_conv2d(
          cpu_of(args), args.scratch, problem, args.inputs[0].data<T>(), kernel_weights<T>(args.inputs[1]),
          args.inputs.size() == 3 ? args.inputs[2].data<Compute<T>>() : nullptr, args.outputs[0].data<T>());
    });
  }

 private:
  Conv2dAttributes attributes_;
};

const RegisterOp kRegistered[] = {
    RegisterOp("conv2d", []() -> OpPtr { return std::make_shared<Conv2d>(Conv2dAttributes{}); }),
    RegisterOp("conv2d_backward_data"), RegisterOp("conv2d_backward_weights")};

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dAttributes& attributes) {
  const OpPtr op = std::make_shared<Conv2d>(attributes);
  return bias.defined() ? apply_one(op, {x, weight, bias}) : apply_one(op, {x, weight});
}

Tensor conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Extents& in,
                            const Conv2dAttributes& attributes) {
  return apply_one(std::make_shared<Conv2dBackwardData>(attributes, in), {dy, weight});
}

Tensor conv2d_backward_weights(const Tensor& x, const Tensor& dy, const Extents& kernel,
                               const Conv2dAttributes& attributes) {
  return apply_one(std::make_shared<Conv2dBackwardWeights>(attributes, kernel), {x, dy});
}

}  // namespace convoy
