#include "core/ops/cumsum.h"

#include "core/ops/per_type.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cumsum.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

#ifndef CONVOY_CORE_OPS_CUMSUM_ARGUMENTS
#define CONVOY_CORE_OPS_CUMSUM_ARGUMENTS
#include <type_traits>

namespace convoy {
namespace {

constexpr std::int64_t kColumns = 256;  // side by side, that one piece sums
constexpr std::int64_t kLines = 8;      // one after the other, that one piece sums together

// What sums of T run in.
template <typename T>
using Running = std::conditional_t<std::is_same_v<T, bfloat16>, float, double>;

// Element i of step s is x[s·step + i], i < count ≤ kColumns. Sums that run from the end have a negative step.
template <typename T>
struct Columns {
  const T* x;
  T* y;
  std::int64_t steps, step, count;
  bool exclusive;
};

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

using HalfOfDoubles = hn::Rebind<float, Lanes<double>>;

HWY_INLINE auto load(const bfloat16* x) { return Whole<float>().load(x); }
HWY_INLINE auto load(const float* x) { return hn::PromoteTo(Lanes<double>(), hn::LoadU(HalfOfDoubles(), x)); }
HWY_INLINE auto load(const double* x) { return Whole<double>().load(x); }

HWY_INLINE void store(hn::Vec<Lanes<float>> sum, bfloat16* y) { Whole<float>().store(sum, y); }
HWY_INLINE void store(hn::Vec<Lanes<double>> sum, float* y) {
  hn::StoreU(hn::DemoteTo(HalfOfDoubles(), sum), HalfOfDoubles(), y);
}
HWY_INLINE void store(hn::Vec<Lanes<double>> sum, double* y) { Whole<double>().store(sum, y); }

template <typename T>
void scan(const Columns<T>& a) {
  constexpr std::int64_t kLanes = lanes<Running<T>>();
  const Lanes<Running<T>> d;
  alignas(64) Running<T> sums[kColumns] = {};
  for (std::int64_t s = 0; s < a.steps; ++s) {
    const T* const x = a.x + s * a.step;
    T* const y = a.y + s * a.step;
    std::int64_t i = 0;
    for (; i + kLanes <= a.count; i += kLanes) {
      const auto before = hn::Load(d, sums + i);
      const auto after = hn::Add(before, load(x + i));
      store(a.exclusive ? before : after, y + i);
      hn::Store(after, d, sums + i);
    }
    for (; i < a.count; ++i) {
      const Running<T> before = sums[i];
      sums[i] += static_cast<Running<T>>(x[i]);
      y[i] = static_cast<T>(a.exclusive ? before : sums[i]);
    }
  }
}

CONVOY_FOR_EACH_TYPE(scan, Columns);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

CONVOY_RUN_KERNEL(scan, Columns);

// kCount lines of `extent` elements, one after the other: an addition waits for the one before it in its line only.
template <std::int64_t kCount, typename T>
void scan_lines(const T* x, std::int64_t extent, const CumsumAttributes& attributes, T* y) {
  Running<T> sums[kCount] = {};
  for (std::int64_t s = 0; s < extent; ++s) {
    const std::int64_t place = attributes.reverse ? extent - 1 - s : s;
    for (std::int64_t i = 0; i < kCount; ++i) {
      const Running<T> before = sums[i];
      sums[i] += static_cast<Running<T>>(x[i * extent + place]);
      y[i * extent + place] = static_cast<T>(attributes.exclusive ? before : sums[i]);
    }
  }
}

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
    check_floating(name(), in);
    return {in[0]};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {cumsum(args.gradients[0], axis_, {attributes_.exclusive, !attributes_.reverse})};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    if (args.outputs[0].elements() == 0) return prepared([] {});
    const Shape& shape = args.inputs[0].shape();
    std::int64_t inner = 1;
    for (int i = axis_ + 1; i < shape.rank(); ++i) inner *= shape[i];
    const std::int64_t extent = shape[axis_];
    const std::int64_t outer = shape.elements() / (extent * inner);
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return inner == 1 ? prepare_lines<T>(args, outer, extent) : prepare_columns<T>(args, outer, extent, inner);
    });
  }

 private:
  template <typename T>
  PreparedPtr prepare_lines(const PrepareArgs& args, std::int64_t lines, std::int64_t extent) const {
    return prepared([lines, extent, attributes = attributes_, x = args.inputs[0].data<T>(),
                     y = args.outputs[0].data<T>(), threads = threads_of(args)] {
      const std::int64_t pieces = (lines + kLines - 1) / kLines;
      parallel_for(threads, pieces, row_grain(extent * kLines), [&](std::int64_t begin, std::int64_t end) {
        std::int64_t line = begin * kLines;
        const std::int64_t last = std::min(lines, end * kLines);
        for (; line + kLines <= last; line += kLines)
          scan_lines<kLines>(x + line * extent, extent, attributes, y + line * extent);
        for (; line < last; ++line) scan_lines<1>(x + line * extent, extent, attributes, y + line * extent);
      });
    });
  }

  template <typename T>
  PreparedPtr prepare_columns(const PrepareArgs& args, std::int64_t outer, std::int64_t extent,
                              std::int64_t inner) const {
    const std::int64_t start = attributes_.reverse ? (extent - 1) * inner : 0;
    const Columns<T> first{.x = args.inputs[0].data<T>() + start,
                           .y = args.outputs[0].data<T>() + start,
                           .steps = extent,
                           .step = attributes_.reverse ? -inner : inner,
                           .count = std::min(inner, kColumns),
                           .exclusive = attributes_.exclusive};
    return prepared([first, outer, inner, across = (inner + kColumns - 1) / kColumns, threads = threads_of(args)] {
      parallel_for(threads, outer * across, row_grain(first.steps * first.count),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t i = begin; i < end; ++i) {
                       const std::int64_t column = i % across * kColumns;
                       const std::int64_t offset = i / across * first.steps * inner + column;
                       Columns<T> piece = first;
                       piece.x += offset;
                       piece.y += offset;
                       piece.count = std::min(kColumns, inner - column);
                       run(piece);
                     }
                   });
    });
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
#endif
