#include "core/ops/gather.h"

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/picked_places.h"
#include "core/ops/scratch.h"

namespace convoy {
namespace {

// y row j, column i = x row index[j, i], column i. Rows of x, index and y lie `inner` apart.
template <typename T>
void gather_strip(const T* x, const std::int32_t* index, std::int64_t count, std::int64_t inner, std::int64_t width,
                  T* y) {
  if (inner == 1) {
    for (std::int64_t j = 0; j < count; ++j) y[j] = x[index[j]];
    return;
  }
  for (std::int64_t j = 0; j < count; ++j, index += inner, y += inner) {
    if (is_whole_row(index, width)) {
      std::copy_n(x + index[0] * inner, width, y);
    } else {
      for (std::int64_t i = 0; i < width; ++i) y[i] = x[index[i] * inner + i];
    }
  }
}

// Adds values row j, column i to sums row index[j, i], column i, whose rows lie `stride` apart.
template <typename T>
void scatter_strip(const T* values, const std::int32_t* index, std::int64_t count, std::int64_t inner,
                   std::int64_t width, Compute<T>* sums, std::int64_t stride) {
  if (inner == 1) {
    for (std::int64_t j = 0; j < count; ++j) sums[index[j]] += static_cast<Compute<T>>(values[j]);
    return;
  }
  for (std::int64_t j = 0; j < count; ++j, index += inner, values += inner) {
    if (is_whole_row(index, width)) {
      accumulate_kernel(values, sums + index[0] * stride, width);
    } else {
      for (std::int64_t i = 0; i < width; ++i) sums[index[i] * stride + i] += static_cast<Compute<T>>(values[i]);
    }
  }
}

class ScatterAdd final : public Op {
 public:
  ScatterAdd(int axis, std::int64_t extent) : axis_(axis), extent_(extent) {}
  std::string_view name() const override { return "scatter_add"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0b01, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("axis", std::int64_t{axis_});
    visitor.visit("extent", extent_);
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    if (in[0].dtype != DType::kI32 || !is_floating(in[1].dtype) || in[0].shape != in[1].shape || extent_ < 0)
      refuse(name(), in, "index i32 and values f32, f64 or bf16 of one shape, extent >= 0");
    normal_axis(name(), axis_, in[0].shape);
    Spec whole = in[1];
    whole.shape[axis_] = extent_;
    return {whole};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {Tensor(), gather(args.gradients[0], axis_, args.inputs[0])};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const Places places(args.inputs[0].shape(), axis_, extent_);
    const Strips strips(places);
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) -> PreparedPtr {
      const auto index = elements_of<const std::int32_t>(args.inputs[0]);
      const T* values = args.inputs[1].data<T>();
      T* y = args.outputs[0].data<T>();
      if constexpr (std::is_same_v<T, Compute<T>>) {
        return prepared([places, strips, index, values, y, n = args.outputs[0].elements(), threads = threads_of(args)] {
          check_indices("scatter_add", index, places.extent);
          std::fill_n(y, n, T{0});
          parallel_for(threads, strips.count(), row_grain(strips.elements()),
                       [&](std::int64_t begin, std::int64_t end) {
                         for (std::int64_t i = begin; i < end; ++i) {
                           const Strip strip = strips[i];
                           scatter_strip(values + strip.index, index.data() + strip.index, places.count, places.inner,
                                         strip.width, y + strip.whole, places.inner);
                         }
                       });
        });
      } else {
        using Own = WorkerScratch<Compute<T>>;
        return prepared([scratch = Own(args.scratch, threads_of(args), strips.count(), places.extent * strips.width()),
                         places, strips, index, values, y] {
          check_indices("scatter_add", index, places.extent);
          scratch.for_each(strips.count(), [&](std::int64_t i, Compute<T>* sums) {
            const Strip strip = strips[i];
            std::fill_n(sums, places.extent * strip.width, Compute<T>{0});
            scatter_strip(values + strip.index, index.data() + strip.index, places.count, places.inner, strip.width,
                          sums, strip.width);
            const bool all = strip.width == places.inner;
            const std::int64_t run = all ? places.extent * strip.width : strip.width;
            for (std::int64_t row = 0; row < (all ? 1 : places.extent); ++row)
              convert_kernel(sums + row * strip.width, y + strip.whole + row * places.inner, run);
          });
        });
      }
    });
  }

 private:
  int axis_;
  std::int64_t extent_;
};

class Gather final : public Op {
 public:
  explicit Gather(int axis) : axis_(axis) {}
  std::string_view name() const override { return "gather"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0b10, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("axis", std::int64_t{axis_}); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    Shape lines = in[1].shape;
    if (lines.rank() == in[0].shape.rank() && axis_ < lines.rank()) lines[axis_] = in[0].shape[axis_];
    if (!is_floating(in[0].dtype) || in[1].dtype != DType::kI32 || lines != in[0].shape)
      refuse(name(), in,
             fmt::format("x f32, f64 or bf16, index i32 with x's extents along all axes but axis {}", axis_));
    normal_axis(name(), axis_, in[0].shape);
    return {{in[0].dtype, in[1].shape, in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {scatter_add(args.inputs[1], args.gradients[0], axis_, args.inputs[0].shape()[axis_]), Tensor()};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const Places places(args.inputs[1].shape(), axis_, args.inputs[0].shape()[axis_]);
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepared([places, strips = Strips(places), index = elements_of<const std::int32_t>(args.inputs[1]),
                       x = args.inputs[0].data<T>(), y = args.outputs[0].data<T>(), threads = threads_of(args)] {
        check_indices("gather", index, places.extent);
        parallel_for(threads, strips.count(), row_grain(strips.elements()), [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) {
            const Strip strip = strips[i];
            gather_strip(x + strip.whole, index.data() + strip.index, places.count, places.inner, strip.width,
                         y + strip.index);
          }
        });
      });
    });
  }

 private:
  int axis_;
};

const RegisterOp kRegistered[] = {RegisterOp("gather"), RegisterOp("scatter_add")};

}  // namespace

Tensor gather(const Tensor& x, int axis, const Tensor& index) {
  return apply_one(std::make_shared<Gather>(normal_axis("gather", axis, x.shape())), {x, index});
}

Tensor scatter_add(const Tensor& index, const Tensor& values, int axis, std::int64_t extent) {
  const int normal = normal_axis("scatter_add", axis, index.shape());
  return apply_one(std::make_shared<ScatterAdd>(normal, extent), {index, values});
}

}  // namespace convoy
