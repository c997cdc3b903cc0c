#include "core/ops/top_k.h"

#include "core/ops/per_type.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/top_k.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

#include <cmath>

#ifndef CONVOY_CORE_OPS_TOP_K_ARGUMENTS
#define CONVOY_CORE_OPS_TOP_K_ARGUMENTS
namespace convoy {
namespace {

// Rows [0, rows) of x, each with k values and k indices.
template <typename T>
struct TopKRows {
  const T* x;
  T* values;
  std::int32_t* indices;
  std::int64_t rows, width, k;

  TopKRows part(std::int64_t begin, std::int64_t end) const {
    return {x + begin * width, values + begin * k, indices + begin * k, end - begin, width, k};
  }
};

// NaN is larger than all numbers.
template <typename T>
bool is_larger(T a, T b) {
  const auto left = static_cast<Compute<T>>(a);
  const auto right = static_cast<Compute<T>>(b);
  return left > right || (std::isnan(left) && !std::isnan(right));
}

// The first `count` places hold what is largest so far, falling; an element of a higher index comes in behind its
// equals, and what falls off place k is lost.
template <typename T>
void insert(T value, std::int32_t index, std::int64_t count, std::int64_t k, T* values, std::int32_t* indices) {
  std::int64_t place = std::min(count, k - 1);
  for (; place > 0 && is_larger(value, values[place - 1]); --place) {
    values[place] = values[place - 1];
    indices[place] = indices[place - 1];
  }
  values[place] = value;
  indices[place] = index;
}

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

// Most elements are below the k-th largest so far: whole vectors of them are passed over.
template <typename T>
void scan(const TopKRows<T>& a) {
  const Lanes<T> d;
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* const x = a.x + row * a.width;
    T* const values = a.values + row * a.k;
    std::int32_t* const indices = a.indices + row * a.k;
    const auto take = [&](std::int64_t i) { insert(x[i], static_cast<std::int32_t>(i), i, a.k, values, indices); };
    std::int64_t i = 0;
    for (; i < a.k; ++i) take(i);
    for (; i < a.width; i += lanes<T>()) {
      const std::int64_t end = std::min(a.width, i + lanes<T>());
      if (end - i == lanes<T>()) {
        const auto least = hn::Set(d, static_cast<Compute<T>>(values[a.k - 1]));
        if (hn::AllTrue(d, hn::Le(Whole<Compute<T>>().load(x + i), least))) continue;
      }
      for (std::int64_t j = i; j < end; ++j) {
        if (is_larger(x[j], values[a.k - 1])) take(j);
      }
    }
  }
}

CONVOY_FOR_EACH_TYPE(scan, TopKRows);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <numeric>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/gather.h"
#include "core/ops/kernel.h"
#include "core/ops/rows.h"
#include "core/ops/scratch.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

CONVOY_RUN_KERNEL(scan, TopKRows);

constexpr std::int64_t kScanned = 64;  // the largest k whose insertions cost less than sorting

// The same by sorting: `order` has room for a row of indices.
template <typename T>
void sort_row(const T* x, std::int64_t width, std::int64_t k, std::int32_t* order, T* values, std::int32_t* indices) {
  std::iota(order, order + width, 0);
  const auto comes_first = [x](std::int32_t a, std::int32_t b) {
    return is_larger(x[a], x[b]) || (!is_larger(x[b], x[a]) && a < b);
  };
  std::nth_element(order, order + k, order + width, comes_first);
  std::sort(order, order + k, comes_first);
  for (std::int64_t i = 0; i < k; ++i) {
    indices[i] = order[i];
    values[i] = x[order[i]];
  }
}

// Along the last axis: x → (values, indices).
class TopKOp final : public Op {
 public:
  explicit TopKOp(std::int64_t k) : k_(k) {}
  std::string_view name() const override { return "top_k"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0, .gradient_reads_outputs = 0b10}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("k", k_); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
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
  PreparedPtr prepare(const PrepareArgs& args) const override {
    if (k_ == 0) return prepared([] {});
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) -> PreparedPtr {
      const TopKRows<T> all{
          args.inputs[0].data<T>(),        args.outputs[0].data<T>(),  args.outputs[1].data<std::int32_t>(),
          rows_of(args.inputs[0].shape()), args.inputs[0].shape()[-1], k_};
      if (k_ <= kScanned) return prepared_rows(args, all);
      return prepared([all, orders = WorkerScratch<std::int32_t>(args.scratch, threads_of(args), all.rows, all.width)] {
        orders.for_each(all.rows, [&](std::int64_t row, std::int32_t* order) {
          sort_row(all.x + row * all.width, all.width, all.k, order, all.values + row * all.k,
                   all.indices + row * all.k);
        });
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
#endif
