// Conversion between dtypes.
#include <cmath>
#include <limits>
#include <type_traits>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/elementwise_one.h"

namespace convoy {
namespace {

template <typename To, typename From>
To converted(From value) {
  if constexpr (!std::is_integral_v<From> && std::is_integral_v<To>) {
    const auto wide = static_cast<Compute<From>>(value);
    if (std::isnan(wide)) return 0;
    // The limit itself may round up to one more than To holds.
    if (wide >= static_cast<Compute<From>>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    if (wide <= static_cast<Compute<From>>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
  }
  return static_cast<To>(value);
}

template <typename From, typename To>
void convert(const From* x, To* y, std::int64_t n) {
  if constexpr (std::is_same_v<From, To>) {
    std::copy_n(x, n, y);
  } else if constexpr (std::is_same_v<Compute<From>, float> && std::is_same_v<Compute<To>, float>) {
    convert_kernel(x, y, n);
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i] = converted<To>(x[i]);
  }
}

template <typename F>
auto with_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::kF32:
      return f(float{});
    case DType::kF64:
      return f(double{});
    case DType::kI32:
      return f(std::int32_t{});
    case DType::kI64:
      return f(std::int64_t{});
    case DType::kBF16:
      break;
  }
  return f(bfloat16{});
}

class Cast final : public Op {
 public:
  explicit Cast(DType to) : to_(to) {}
  std::string_view name() const override { return "cast"; }
  Traits traits() const override {
    return {.elementwise = true,
            .tiled = true,
            .differentiable = is_floating(to_),
            .gradient_reads_inputs = 0,
            .gradient_reads_outputs = 0};
  }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("dtype", name_of(to_)); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    return {{to_, in[0].shape, in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    if (!is_floating(to_)) return Op::vjp(args);
    if (!is_floating(args.inputs[0].dtype())) return {Tensor()};
    return {cast(args.gradients[0], args.inputs[0].dtype())};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_type(args.inputs[0].dtype(), [&]<typename From>(From) {
      return with_type(to_, [&]<typename To>(To) {
        return for_elements<From, To>(args, [](const From* x, To* y, std::int64_t n) { convert(x, y, n); });
      });
    });
  }
  void run_tile_cpu(const TileArgs& args) const override {
    with_type(args.inputs[0].dtype, [&](auto from) {
      with_type(to_, [&](auto to) {
        using To = decltype(to);
        each_or_one<To>(args, [&](std::int64_t n) {
          convert(static_cast<const decltype(from)*>(args.inputs[0].data), static_cast<To*>(args.output), n);
        });
      });
    });
  }

 private:
  DType to_;
};

const RegisterOp kRegistered("cast");

}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  return x.dtype() == dtype ? x : apply_one(std::make_shared<Cast>(dtype), {x});
}

}  // namespace convoy
