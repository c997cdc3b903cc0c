#include "core/ops/top_k.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/gather.h"
#include "core/ops/kernel.h"
#include "core/ops/scratch.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

// Along the last axis: x → (values, indices).
class TopKOp final : public Op {
 public:
  explicit TopKOp(std::int64_t k) : k_(k) {}
  std::string_view name() const override { return "top_k"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0, .gradient_reads_outputs = 0b10}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("k", k_); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_wide(name(), in);
    if (in[0].shape.rank() < 1 || k_ < 0 || k_ > in[0].shape[-1])
      refuse(name(), in, fmt::format("at least k = {} elements along the axis, k >= 0", k_));
    Spec values = in[0];
    values.shape[-1] = k_;
    return {values, {DType::kI32, values.shape, values.device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    if (!args.gradients[0].defined()) return {Tensor()};
    return {scatter_add(args.outputs[1], args.gradients[0], -1, args.inputs[0].shape()[-1])};
  }
  void run_cpu(KernelArgs& args) const override {
    const std::int64_t width = args.inputs[0].shape()[-1];
    if (k_ == 0) return;
    with_wide(args.outputs[0].dtype(), [&]<typename T>(T) {
      const T* x = args.inputs[0].data<T>();
      T* values = args.outputs[0].data<T>();
      std::int32_t* indices = args.outputs[1].data<std::int32_t>();
      parallel_with_scratch<std::int32_t>(static_cast<CpuDevice&>(args.device), rows_of(args.inputs[0].shape()), width,
                                          [&](std::int64_t row, std::int32_t* order) {
                                            const T* from = x + row * width;
                                            std::iota(order, order + width, 0);
                                            std::partial_sort(order, order + k_, order + width,
                                                              [from](std::int32_t a, std::int32_t b) {
                                                                const T left = from[a], right = from[b];
                                                                if (std::isnan(left) != std::isnan(right))
                                                                  return std::isnan(left);
                                                                return left > right || (!(left < right) && a < b);
                                                              });
                                            for (std::int64_t i = 0; i < k_; ++i) {
                                              indices[row * k_ + i] = order[i];
                                              values[row * k_ + i] = from[order[i]];
                                            }
                                          });
    });
  }

 private:
  std::int64_t k_;
};

const RegisterOp kRegistered("top_k");

}  // namespace

TopK top_k(const Tensor& x, std::int64_t k, int axis) {
  const int normal = normal_axis("top_k", axis, x.shape());
  const bool last = normal == x.shape().rank() - 1;
  const Tensor rows = last ? x : transpose(x, normal, -1);
  const Tensors found = convoy::apply(std::make_shared<TopKOp>(k), std::span(&rows, 1));
  if (last) return {found[0], found[1]};
  return {transpose(found[0], normal, -1), transpose(found[1], normal, -1)};
}

}  // namespace convoy
