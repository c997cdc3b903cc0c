#include "core/ops/pool.h"

#include <span>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise.h"
#include "core/ops/kernel.h"
#include "core/ops/pool_kernels.h"
#include "core/ops/reduce.h"

namespace convoy {
namespace {

using Extents = std::array<std::int64_t, 2>;

constexpr std::string_view kExpected = "x [N, H, W, C] with a kernel inside the padded image";

void visit_attributes(AttributeVisitor& visitor, const Pool2dAttributes& attributes) {
  visitor.visit("kernel", std::span<const std::int64_t>(attributes.kernel));
  visitor.visit("stride", std::span<const std::int64_t>(attributes.stride));
  visitor.visit("padding", std::span<const std::int64_t>(attributes.padding));
}

// Throws where no image could be pooled so.
void check_attributes(std::string_view op, const Pool2dAttributes& a) {
  constexpr std::int64_t kMostPlaces = 255;
  for (std::size_t i = 0; i < 2; ++i) {
    if (a.kernel[i] < 1 || a.stride[i] < 1 || a.padding[i] < 0 || 2 * a.padding[i] > a.kernel[i])
      fail(
          ErrorCode::kInvalidArgument,
          "{}: kernel {}, stride {}, padding {}; expected kernel and stride >= 1 and padding from 0 to half the kernel",
          op, a.kernel[i], a.stride[i], a.padding[i]);
  }
  if (a.kernel[0] > kMostPlaces || a.kernel[1] > kMostPlaces || a.kernel[0] * a.kernel[1] > kMostPlaces)
    fail(ErrorCode::kInvalidArgument, "{}: a kernel of {}x{}; expected at most {} places", op, a.kernel[0], a.kernel[1],
         kMostPlaces);
}

PoolProblem problem_of(const Pool2dAttributes& a, const Extents& in, std::int64_t channels) {
  PoolProblem problem{.channels = channels, .in = in, .kernel = a.kernel, .stride = a.stride, .padding = a.padding};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t room = in[i] + 2 * a.padding[i] - a.kernel[i];
    problem.out[i] = room < 0 ? 0 : room / a.stride[i] + 1;
  }
  return problem;
}

PoolProblem problem_of(const Pool2dAttributes& a, const Shape& x) { return problem_of(a, {x[1], x[2]}, x[3]); }

bool is_sound(const Pool2dAttributes& a, const Shape& x) {
  if (x.rank() != 4 || x[3] < 1) return false;
  const PoolProblem problem = problem_of(a, x);
  return problem.out[0] >= 1 && problem.out[1] >= 1;
}

Shape y_shape(const PoolProblem& p, std::int64_t images) { return {images, p.out[0], p.out[1], p.channels}; }
Shape x_shape(const PoolProblem& p, std::int64_t images) { return {images, p.in[0], p.in[1], p.channels}; }
Shape places_shape(const PoolProblem& p, std::int64_t images) {
  return {images, p.out[0], p.out[1], p.place_bytes() / 4};
}
std::uint8_t* bytes_of(const Tensor& places) { return static_cast<std::uint8_t*>(places.raw()); }

// body(image) for every image of `elements`, on the device's threads.
template <typename Body>
PreparedPtr for_images(const PrepareArgs& args, std::int64_t images, std::int64_t elements, const Body& body) {
  return prepared([body, images, grain = row_grain(elements), threads = threads_of(args)] {
    parallel_for(threads, images, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t image = begin; image < end; ++image) body(image);
    });
  });
}

// (places, dy) → dx.
class MaxPool2dBackward final : public Op {
 public:
  MaxPool2dBackward(const Pool2dAttributes& attributes, const Extents& in) : attributes_(attributes), in_(in) {
    check_attributes(name(), attributes);
  }
  std::string_view name() const override { return "max_pool2d_backward"; }
  Traits traits() const override { return {.differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override {
    visit_attributes(visitor, attributes_);
    visitor.visit("in", std::span<const std::int64_t>(in_));
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    check_floating(name(), in.last(1));
    const Shape& dy = in[1].shape;
    const bool sound =
        in[0].dtype == DType::kI32 && dy.rank() == 4 && is_sound(attributes_, {dy[0], in_[0], in_[1], dy[3]});
    const PoolProblem problem = sound ? problem_of(attributes_, in_, dy[3]) : PoolProblem{};
    if (!sound || dy != y_shape(problem, dy[0]) || in[0].shape != places_shape(problem, dy[0]))
      refuse(name(), in, "places and dy of a pooling under " + describe(*this));
    return {{in[1].dtype, x_shape(problem, dy[0]), in[1].device}};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      const Shape& x = args.outputs[0].shape();
      const PoolProblem p = problem_of(attributes_, x);
      return for_images(args, x[0], p.x_image(),
                        [p, places = bytes_of(args.inputs[0]), dy = args.inputs[1].data<T>(),
                         dx = args.outputs[0].data<T>()](std::int64_t i) {
                          max_pool_backward_kernel(p, places + i * p.places_image(), dy + i * p.y_image(),
                                                   dx + i * p.x_image());
                        });
    });
  }

 private:
  Pool2dAttributes attributes_;
  Extents in_;
};

// x → y and the places under the kernel that its elements came from.
class MaxPool2d final : public Op {
 public:
  explicit MaxPool2d(const Pool2dAttributes& attributes) : attributes_(attributes) {
    check_attributes(name(), attributes);
  }
  std::string_view name() const override { return "max_pool2d"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0, .gradient_reads_outputs = 0b10}; }
  void attributes(AttributeVisitor& visitor) const override { visit_attributes(visitor, attributes_); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    if (!is_sound(attributes_, in[0].shape)) refuse(name(), in, kExpected);
    const PoolProblem problem = problem_of(attributes_, in[0].shape);
    const std::int64_t images = in[0].shape[0];
    return {{in[0].dtype, y_shape(problem, images), in[0].device},
            {DType::kI32, places_shape(problem, images), in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    const Shape& x = args.inputs[0].shape();
    return {max_pool2d_backward(args.outputs[1], args.gradients[0], {x[1], x[2]}, attributes_)};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      const Shape& shape = args.inputs[0].shape();
      const PoolProblem p = problem_of(attributes_, shape);
      return for_images(args, shape[0], p.x_image(),
                        [p, x = args.inputs[0].data<T>(), y = args.outputs[0].data<T>(),
                         places = bytes_of(args.outputs[1])](std::int64_t i) {
                          max_pool_kernel(p, x + i * p.x_image(), y + i * p.y_image(), places + i * p.places_image());
                        });
    });
  }

 private:
  Pool2dAttributes attributes_;
};

// dy → dx.
class AvgPool2dBackward final : public Op {
 public:
  AvgPool2dBackward(const Pool2dAttributes& attributes, const Extents& in) : attributes_(attributes), in_(in) {
    check_attributes(name(), attributes);
  }
  std::string_view name() const override { return "avg_pool2d_backward"; }
  Traits traits() const override { return {.differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override {
    visit_attributes(visitor, attributes_);
    visitor.visit("in", std::span<const std::int64_t>(in_));
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    const Shape& dy = in[0].shape;
    const bool sound = dy.rank() == 4 && is_sound(attributes_, {dy[0], in_[0], in_[1], dy[3]});
    const PoolProblem problem = sound ? problem_of(attributes_, in_, dy[3]) : PoolProblem{};
    if (!sound || dy != y_shape(problem, dy[0])) refuse(name(), in, "dy of a pooling under " + describe(*this));
    return {{in[0].dtype, x_shape(problem, dy[0]), in[0].device}};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      const Shape& x = args.outputs[0].shape();
      const PoolProblem p = problem_of(attributes_, x);
      return for_images(args, x[0], p.x_image(),
                        [p, dy = args.inputs[0].data<T>(), dx = args.outputs[0].data<T>()](std::int64_t i) {
                          avg_pool_backward_kernel(p, dy + i * p.y_image(), dx + i * p.x_image());
                        });
    });
  }

 private:
  Pool2dAttributes attributes_;
  Extents in_;
};

// x → y.
class AvgPool2d final : public Op {
 public:
  explicit AvgPool2d(const Pool2dAttributes& attributes) : attributes_(attributes) {
    check_attributes(name(), attributes);
  }
  std::string_view name() const override { return "avg_pool2d"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override { visit_attributes(visitor, attributes_); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    if (!is_sound(attributes_, in[0].shape)) refuse(name(), in, kExpected);
    return {{in[0].dtype, y_shape(problem_of(attributes_, in[0].shape), in[0].shape[0]), in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    const Shape& x = args.inputs[0].shape();
    return {avg_pool2d_backward(args.gradients[0], {x[1], x[2]}, attributes_)};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      const Shape& shape = args.inputs[0].shape();
      const PoolProblem p = problem_of(attributes_, shape);
      return for_images(args, shape[0], p.x_image(),
                        [p, x = args.inputs[0].data<T>(), y = args.outputs[0].data<T>()](std::int64_t i) {
                          avg_pool_kernel(p, x + i * p.x_image(), y + i * p.y_image());
                        });
    });
  }

 private:
  Pool2dAttributes attributes_;
};

const RegisterOp kRegistered[] = {RegisterOp("max_pool2d"), RegisterOp("max_pool2d_backward"), RegisterOp("avg_pool2d"),
                                  RegisterOp("avg_pool2d_backward")};

}  // namespace

Tensor max_pool2d(const Tensor& x, const Pool2dAttributes& attributes) {
  return apply_one(std::make_shared<MaxPool2d>(attributes), {x});
}

Tensor max_pool2d_backward(const Tensor& places, const Tensor& dy, const Extents& in,
                           const Pool2dAttributes& attributes) {
  return apply_one(std::make_shared<MaxPool2dBackward>(attributes, in), {places, dy});
}

Tensor avg_pool2d(const Tensor& x, const Pool2dAttributes& attributes) {
  return apply_one(std::make_shared<AvgPool2d>(attributes), {x});
}

Tensor avg_pool2d_backward(const Tensor& dy, const Extents& in, const Pool2dAttributes& attributes) {
  return apply_one(std::make_shared<AvgPool2dBackward>(attributes, in), {dy});
}

Tensor global_average_pool2d(const Tensor& x) {
  if (compute_dtype(x.dtype()) == x.dtype()) return mean(x, {1, 2});
  const Tensor total = sum(x, {1, 2}, false, compute_dtype(x.dtype()));
  return cast(scale(total, 1.0 / static_cast<double>(x.shape()[1] * x.shape()[2])), x.dtype());
}

}  // namespace convoy
