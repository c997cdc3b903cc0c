#include "core/ops/rotary.h"

#include "core/ops/per_type.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/rotary.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

#ifndef CONVOY_CORE_OPS_ROTARY_ARGUMENTS
#define CONVOY_CORE_OPS_ROTARY_ARGUMENTS
namespace convoy {
namespace {

// Vectors of 2·half elements, one a head, at one time: those of x lie `stride` apart. Back: by the opposite angles.
template <typename T>
struct Turns {
  const T* x;
  const Compute<T>*cosines, *sines;
  T* y;
  std::int64_t heads, stride, half;
  bool back;
};

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

template <typename T>
void turn(const Turns<T>& a) {
  for (std::int64_t head = 0; head < a.heads; ++head) {
    const T* const x = a.x + head * a.stride;
    T* const y = a.y + head * 2 * a.half;
    for_vectors<T>(a.half, [&](auto access, std::int64_t i) HWY_ATTR {
      const auto u = access.load(x + i);
      const auto v = access.load(x + a.half + i);
      const auto c = access.load(a.cosines + i);
      const auto s = a.back ? hn::Neg(access.load(a.sines + i)) : access.load(a.sines + i);
      access.store(hn::NegMulAdd(v, s, hn::Mul(u, c)), y + i);
      access.store(hn::MulAdd(u, s, hn::Mul(v, c)), y + a.half + i);
    });
  }
}

CONVOY_FOR_EACH_TYPE(turn, Turns);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"
#include "core/ops/scratch.h"

namespace convoy {
namespace {

CONVOY_RUN_KERNEL(turn, Turns);

// Cosines and sines of all angles, [time, half] each: computed in double, once a device and again where a longer time
// is asked for.
template <typename T>
class AngleTables {
 public:
  struct Table {
    std::vector<T> cosines, sines;
  };

  std::shared_ptr<const Table> find(double theta, std::int64_t half, std::int64_t time) {
    std::shared_ptr<const Table>& table = tables_[{theta, half}];
    const auto elements = static_cast<std::size_t>(time * half);
    if (table != nullptr && table->cosines.size() >= elements) return table;
    auto longer = std::make_shared<Table>();
    longer->cosines.reserve(elements);
    longer->sines.reserve(elements);
    for (std::int64_t t = 0; t < time; ++t) {
      for (std::int64_t i = 0; i < half; ++i) {
        const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(half));
        longer->cosines.push_back(static_cast<T>(std::cos(static_cast<double>(t) * frequency)));
        longer->sines.push_back(static_cast<T>(std::sin(static_cast<double>(t) * frequency)));
      }
    }
    return table = std::move(longer);
  }

 private:
  std::map<std::tuple<double, std::int64_t>, std::shared_ptr<const Table>> tables_;
};

class Rotary final : public Op {
 public:
  Rotary(double theta, bool back) : theta_(theta), back_(back) {}
  std::string_view name() const override { return "rotary"; }
  Traits traits() const override { return {.strided = true, .gradient_reads_inputs = 0, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("theta", theta_);
    visitor.visit("back", std::int64_t{back_});
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    if (in[0].shape.rank() != 4 || in[0].shape[3] < 2 || in[0].shape[3] % 2 != 0 || !(theta_ > 0))
      refuse(name(), in, "x [B, T, H, D] with D even, theta > 0");
    return {in[0]};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {apply_one(std::make_shared<Rotary>(theta_, !back_), {args.gradients[0]})};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      Gapless x(args.scratch, args.inputs[0], args.inputs[0].layout().strides[3] == 1);
      const Shape& shape = x.tensor().shape();
      auto table = args.device.local<AngleTables<Compute<T>>>().find(theta_, shape[3] / 2, shape[1]);
      return prepared([copy = x.take_copy(), shape, strides = x.tensor().layout().strides, table = std::move(table),
                       back = back_, from = x.tensor().data<T>(), to = args.outputs[0].data<T>(),
                       threads = threads_of(args)] {
        copy.run();
        const std::int64_t half = shape[3] / 2;
        const std::int64_t width = shape[2] * shape[3];
        parallel_for(threads, shape[0] * shape[1], row_grain(width), [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row) {
            const std::int64_t sequence = row / shape[1];
            const std::int64_t time = row % shape[1];
            run(Turns<T>{from + sequence * strides[0] + time * strides[1], table->cosines.data() + time * half,
                         table->sines.data() + time * half, to + row * width, shape[2], strides[2], half, back});
          }
        });
      });
    });
  }

 private:
  double theta_;
  bool back_;
};

const RegisterOp kRegistered("rotary", []() -> OpPtr { return std::make_shared<Rotary>(10000.0, false); });

}  // namespace

Tensor rotary(const Tensor& x, double theta) { return apply_one(std::make_shared<Rotary>(theta, false), {x}); }

}  // namespace convoy
#endif
