#include "core/ops/rotary.h"

#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/rotary.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

// One vector of 2·half elements; back: by the opposite angles.
template <typename T>
void turn(const T* x, const T* cosines, const T* sines, std::int64_t half, bool back, T* y) {
  for_vectors<T>(half, [&](auto access, std::int64_t i) HWY_ATTR {
    const auto a = access.load(x + i);
    const auto b = access.load(x + half + i);
    const auto c = access.load(cosines + i);
    const auto s = back ? hn::Neg(access.load(sines + i)) : access.load(sines + i);
    access.store(hn::NegMulAdd(b, s, hn::Mul(a, c)), y + i);
    access.store(hn::MulAdd(a, s, hn::Mul(b, c)), y + half + i);
  });
}

void turn_f32(const float* x, const float* cosines, const float* sines, std::int64_t half, bool back, float* y) {
  turn(x, cosines, sines, half, back, y);
}
void turn_f64(const double* x, const double* cosines, const double* sines, std::int64_t half, bool back, double* y) {
  turn(x, cosines, sines, half, back, y);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>
#include <map>
#include <tuple>
#include <vector>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

HWY_EXPORT(turn_f32);
HWY_EXPORT(turn_f64);

void run(const float* x, const float* cosines, const float* sines, std::int64_t half, bool back, float* y) {
  HWY_DYNAMIC_DISPATCH(turn_f32)(x, cosines, sines, half, back, y);
}
void run(const double* x, const double* cosines, const double* sines, std::int64_t half, bool back, double* y) {
  HWY_DYNAMIC_DISPATCH(turn_f64)(x, cosines, sines, half, back, y);
}

// Cosines and sines of all angles, [time, half] each: computed in double once a device, for the longest time so far.
template <typename T>
class AngleTables {
 public:
  struct Table {
    std::vector<T> cosines, sines;
  };

  const Table& find(double theta, std::int64_t half, std::int64_t time) {
    Table& table = tables_[{theta, half}];
    for (std::int64_t t = static_cast<std::int64_t>(table.cosines.size()) / half; t < time; ++t) {
      for (std::int64_t i = 0; i < half; ++i) {
        const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(half));
        table.cosines.push_back(static_cast<T>(std::cos(static_cast<double>(t) * frequency)));
        table.sines.push_back(static_cast<T>(std::sin(static_cast<double>(t) * frequency)));
      }
    }
    return table;
  }

 private:
  std::map<std::tuple<double, std::int64_t>, Table> tables_;
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
    check_wide(name(), in);
    if (in[0].shape.rank() != 4 || in[0].shape[3] < 2 || in[0].shape[3] % 2 != 0 || !(theta_ > 0))
      refuse(name(), in, "x [B, T, H, D] with D even, theta > 0");
    return {in[0]};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {apply_one(std::make_shared<Rotary>(theta_, !back_), {args.gradients[0]})};
  }
  void run_cpu(KernelArgs& args) const override {
    with_wide(args.outputs[0].dtype(), [&]<typename T>(T) {
      const Tensor x = args.inputs[0].layout().strides[3] == 1 ? args.inputs[0] : contiguous(args.inputs[0]);
      const Shape& shape = x.shape();
      const Shape& strides = x.layout().strides;
      const std::int64_t half = shape[3] / 2;
      const auto& table = args.device.local<AngleTables<T>>().find(theta_, half, shape[1]);
      const T* const from = x.data<T>();
      T* const to = args.outputs[0].data<T>();
      parallel_for(threads_of(args), rows_of(shape), row_grain(shape[3]), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          const std::int64_t head = row % shape[2];
          const std::int64_t time = row / shape[2] % shape[1];
          const std::int64_t sequence = row / shape[2] / shape[1];
          run(from + sequence * strides[0] + time * strides[1] + head * strides[2], table.cosines.data() + time * half,
              table.sines.data() + time * half, half, back_, to + row * shape[3]);
        }
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
