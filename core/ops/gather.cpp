#include "core/ops/gather.h"

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

// Tensors seen as [outer, along the axis, inner]: the one picked from (extent) and the index (count).
struct Places {
  std::int64_t outer = 1, extent, count, inner = 1;

  Places(const Shape& index, int axis, std::int64_t extent_of_axis) : extent(extent_of_axis), count(index[axis]) {
    for (int i = 0; i < axis; ++i) outer *= index[i];
    for (int i = axis + 1; i < index.rank(); ++i) inner *= index[i];
  }
};

void check_indices(std::string_view op, const Tensor& index, std::int64_t extent) {
  const std::int32_t* values = index.data<std::int32_t>();
  for (std::int64_t i = 0; i < index.elements(); ++i) {
    if (values[i] < 0 || values[i] >= extent)
      fail(ErrorCode::kInvalidArgument, "{}: index {} at position {}; expected one of {} along the axis", op, values[i],
           i, extent);
  }
}

// Calls visit(place in the tensor picked from, place in the index), in the order of the index, on threads that share
// out the lines along the axis: no two meet in one place.
template <typename Visit>
void for_each_place(const KernelArgs& args, const Places& places, const std::int32_t* index, const Visit& visit) {
  const auto visit_lines = [&](std::int64_t outer, std::int64_t first, std::int64_t last) {
    for (std::int64_t j = 0; j < places.count; ++j) {
      for (std::int64_t i = first; i < last; ++i) {
        const std::int64_t at = (outer * places.count + j) * places.inner + i;
        visit((outer * places.extent + index[at]) * places.inner + i, at);
      }
    }
  };
  if (places.outer >= threads_of(args) || places.inner == 1) {
    parallel_for(threads_of(args), places.outer, row_grain(places.count * places.inner),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t outer = begin; outer < end; ++outer) visit_lines(outer, 0, places.inner);
                 });
    return;
  }
  for (std::int64_t outer = 0; outer < places.outer; ++outer) {
    parallel_for(threads_of(args), places.inner, row_grain(places.count),
                 [&](std::int64_t begin, std::int64_t end) { visit_lines(outer, begin, end); });
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
    if (in[0].dtype != DType::kI32 || !is_wide(in[1].dtype) || in[0].shape != in[1].shape || extent_ < 0)
      refuse(name(), in, "index i32 and values f32 or f64 of one shape, extent >= 0");
    normal_axis(name(), axis_, in[0].shape);
    Spec whole = in[1];
    whole.shape[axis_] = extent_;
    return {whole};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {Tensor(), gather(args.gradients[0], axis_, args.inputs[0])};
  }
  void run_cpu(KernelArgs& args) const override {
    check_indices(name(), args.inputs[0], extent_);
    const Places places(args.inputs[0].shape(), axis_, extent_);
    const std::int32_t* index = args.inputs[0].data<std::int32_t>();
    with_wide(args.outputs[0].dtype(), [&]<typename T>(T) {
      const T* values = args.inputs[1].data<T>();
      T* sums = args.outputs[0].data<T>();
      std::fill_n(sums, args.outputs[0].elements(), T{0});
      for_each_place(args, places, index, [&](std::int64_t to, std::int64_t from) { sums[to] += values[from]; });
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
    if (!is_wide(in[0].dtype) || in[1].dtype != DType::kI32 || lines != in[0].shape)
      refuse(name(), in, fmt::format("x f32 or f64, index i32 with x's extents along all axes but axis {}", axis_));
    normal_axis(name(), axis_, in[0].shape);
    return {{in[0].dtype, in[1].shape, in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {scatter_add(args.inputs[1], args.gradients[0], axis_, args.inputs[0].shape()[axis_]), Tensor()};
  }
  void run_cpu(KernelArgs& args) const override {
    const std::int64_t extent = args.inputs[0].shape()[axis_];
    check_indices(name(), args.inputs[1], extent);
    const Places places(args.inputs[1].shape(), axis_, extent);
    const std::int32_t* index = args.inputs[1].data<std::int32_t>();
    with_wide(args.outputs[0].dtype(), [&]<typename T>(T) {
      const T* x = args.inputs[0].data<T>();
      T* y = args.outputs[0].data<T>();
      for_each_place(args, places, index, [&](std::int64_t from, std::int64_t to) { y[to] = x[from]; });
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
