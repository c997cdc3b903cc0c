#include "core/ops/scatter.h"

#include <cstdint>

#include "core/device/cpu_device.h"
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"
#include "core/ops/picked_places.h"
#include "core/ops/scratch.h"

namespace convoy {
namespace {

// Rows lie `inner` apart.
template <typename T>
void copy_strip(const T* from, const Places& places, std::int64_t width, T* to) {
  if (width == places.inner) {
    std::copy_n(from, places.extent * width, to);
    return;
  }
  for (std::int64_t row = 0; row < places.extent; ++row)
    std::copy_n(from + row * places.inner, width, to + row * places.inner);
}

// So do rows of the index and of values.
template <typename T>
void scatter_strip(const T* x, const std::int32_t* index, const T* values, const Places& places, std::int64_t width,
                   T* y) {
  const std::int64_t inner = places.inner;
  copy_strip(x, places, width, y);
  if (inner == 1) {
    for (std::int64_t j = 0; j < places.count; ++j) y[index[j]] = values[j];
    return;
  }
  for (std::int64_t j = 0; j < places.count; ++j, index += inner, values += inner) {
    if (is_whole_row(index, width)) {
      std::copy_n(values, width, y + index[0] * inner);
    } else {
      for (std::int64_t i = 0; i < width; ++i) y[index[i] * inner + i] = values[i];
    }
  }
}

// The same backwards: the last value of a place takes its gradient away. `taken`: extent · width marks.
template <typename T>
void scatter_strip_backward(const std::int32_t* index, const T* dy, const Places& places, std::int64_t width, T* dx,
                            T* dvalues, std::uint8_t* taken) {
  const std::int64_t inner = places.inner;
  copy_strip(dy, places, width, dx);
  std::fill_n(taken, places.extent * width, std::uint8_t{0});
  for (std::int64_t j = places.count - 1; j >= 0; --j) {
    for (std::int64_t i = 0; i < width; ++i) {
      const std::int64_t row = index[j * inner + i];
      std::uint8_t& mark = taken[row * width + i];
      dvalues[j * inner + i] = mark != 0 ? T{} : dy[row * inner + i];
      dx[row * inner + i] = T{};
      mark = 1;
    }
  }
}

// index, dy → the gradients of x and of values.
class ScatterBackward final : public Op {
 public:
  explicit ScatterBackward(int axis) : axis_(axis) {}
  std::string_view name() const override { return "scatter_backward"; }
  Traits traits() const override { return {.differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("axis", std::int64_t{axis_}); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    Shape lines = in[0].shape;
    if (lines.rank() == in[1].shape.rank() && axis_ < lines.rank()) lines[axis_] = in[1].shape[axis_];
    if (in[0].dtype != DType::kI32 || !is_floating(in[1].dtype) || lines != in[1].shape)
      refuse(name(), in,
             fmt::format("index i32, dy f32, f64 or bf16 with its extents along all axes but axis {}", axis_));
    return {in[1], {in[1].dtype, in[0].shape, in[1].device}};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const Places places(args.inputs[0].shape(), axis_, args.inputs[1].shape()[axis_]);
    const Strips strips(places);
    return with_floating(args.inputs[1].dtype(), [&]<typename T>(T) {
      using Own = WorkerScratch<std::uint8_t>;
      return prepared([scratch = Own(args.scratch, threads_of(args), strips.count(), places.extent * strips.width()),
                       places, strips, index = elements_of<const std::int32_t>(args.inputs[0]),
                       dy = args.inputs[1].data<T>(), dx = args.outputs[0].data<T>(),
                       dvalues = args.outputs[1].data<T>()] {
        check_indices("scatter_backward", index, places.extent);
        scratch.for_each(strips.count(), [&](std::int64_t i, std::uint8_t* taken) {
          const Strip strip = strips[i];
          scatter_strip_backward(index.data() + strip.index, dy + strip.whole, places, strip.width, dx + strip.whole,
                                 dvalues + strip.index, taken);
        });
      });
    });
  }

 private:
  int axis_;
};

class Scatter final : public Op {
 public:
  explicit Scatter(int axis) : axis_(axis) {}
  std::string_view name() const override { return "scatter"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0b010, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("axis", std::int64_t{axis_}); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 3);
    Shape lines = in[1].shape;
    if (lines.rank() == in[0].shape.rank() && axis_ < lines.rank()) lines[axis_] = in[0].shape[axis_];
    if (!is_floating(in[0].dtype) || in[1].dtype != DType::kI32 || lines != in[0].shape)
      refuse(name(), in,
             fmt::format("x f32, f64 or bf16, index i32 with x's extents along all axes but axis {}", axis_));
    if (in[2].dtype != in[0].dtype || in[2].shape != in[1].shape)
      refuse(name(), in, "values of x's dtype and index's shape");
    return {in[0]};
  }
  Tensors vjp(const VjpArgs& args) const override {
    const auto [x, values] = scatter_backward(axis_, args.inputs[1], args.gradients[0]);
    return {x, Tensor(), values};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const Places places(args.inputs[1].shape(), axis_, args.inputs[0].shape()[axis_]);
    const Strips strips(places);
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepared([places, strips, grain = row_grain(strips.width() * (places.count + places.extent)),
                       index = elements_of<const std::int32_t>(args.inputs[1]), x = args.inputs[0].data<T>(),
                       values = args.inputs[2].data<T>(), y = args.outputs[0].data<T>(), threads = threads_of(args)] {
        check_indices("scatter", index, places.extent);
        parallel_for(threads, strips.count(), grain, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) {
            const Strip strip = strips[i];
            scatter_strip(x + strip.whole, index.data() + strip.index, values + strip.index, places, strip.width,
                          y + strip.whole);
          }
        });
      });
    });
  }

 private:
  int axis_;
};

const RegisterOp kRegistered[] = {RegisterOp("scatter"), RegisterOp("scatter_backward")};

}  // namespace

ScatterGradients scatter_backward(int axis, const Tensor& index, const Tensor& dy) {
  const Tensor inputs[] = {index, dy};
  const Tensors found =
      convoy::apply(std::make_shared<ScatterBackward>(normal_axis("scatter", axis, dy.shape())), inputs);
  return {found[0], found[1]};
}

Tensor scatter(const Tensor& x, int axis, const Tensor& index, const Tensor& values) {
  return apply_one(std::make_shared<Scatter>(normal_axis("scatter", axis, x.shape())), {x, index, values});
}

}  // namespace convoy
