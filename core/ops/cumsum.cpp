#include "core/ops/cumsum.h"

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

class Cumsum final : public Op {
 public:
  Cumsum(int axis, const CumsumAttributes& attributes) : axis_(axis), attributes_(attributes) {}
  std::string_view name() const override { return "cumsum"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("axis", std::int64_t{axis_});
    visitor.visit("exclusive", std::int64_t{attributes_.exclusive});
    visitor.visit("reverse", std::int64_t{attributes_.reverse});
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_wide(name(), in);
    return {in[0]};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {cumsum(args.gradients[0], axis_, {attributes_.exclusive, !attributes_.reverse})};
  }
  void run_cpu(KernelArgs& args) const override {
    with_wide(args.outputs[0].dtype(), [&]<typename T>(T) {
      const Shape& shape = args.inputs[0].shape();
      std::int64_t inner = 1;
      for (int i = axis_ + 1; i < shape.rank(); ++i) inner *= shape[i];
      const std::int64_t columns = (inner + kColumns - 1) / kColumns;
      const std::int64_t extent = shape[axis_];
      if (args.outputs[0].elements() == 0) return;
      const std::int64_t pieces = shape.elements() / (extent * inner) * columns;
      parallel_for(threads_of(args), pieces, row_grain(extent * std::min(inner, kColumns)),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t piece = begin; piece < end; ++piece) {
                       const std::int64_t first = piece % columns * kColumns;
                       const std::int64_t offset = piece / columns * extent * inner + first;
                       run_columns(args.inputs[0].data<T>() + offset, extent, std::min(kColumns, inner - first), inner,
                                   args.outputs[0].data<T>() + offset);
                     }
                   });
    });
  }

 private:
  static constexpr std::int64_t kColumns = 64;  // side by side, that one piece sums

  // Rows of `count` elements, `stride` apart.
  template <typename T>
  void run_columns(const T* x, std::int64_t extent, std::int64_t count, std::int64_t stride, T* y) const {
    double sums[kColumns] = {};
    for (std::int64_t step = 0; step < extent; ++step) {
      const std::int64_t row = (attributes_.reverse ? extent - 1 - step : step) * stride;
      if (attributes_.exclusive) {
        for (std::int64_t i = 0; i < count; ++i) y[row + i] = static_cast<T>(sums[i]);
      }
      for (std::int64_t i = 0; i < count; ++i) sums[i] += static_cast<double>(x[row + i]);
      if (!attributes_.exclusive) {
        for (std::int64_t i = 0; i < count; ++i) y[row + i] = static_cast<T>(sums[i]);
      }
    }
  }

  int axis_;
  CumsumAttributes attributes_;
};

const RegisterOp kRegistered("cumsum");

}  // namespace

Tensor cumsum(const Tensor& x, int axis, const CumsumAttributes& attributes) {
  return apply_one(std::make_shared<Cumsum>(normal_axis("cumsum", axis, x.shape()), attributes), {x});
}

}  // namespace convoy
