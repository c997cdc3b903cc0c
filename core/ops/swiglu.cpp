#include "core/ops/swiglu.h"

#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/swiglu.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/sigmoid-inl.h"
#include "core/ops/vector-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

template <typename T>
void forward(const T* gate, const T* up, T* y, std::int64_t n) {
  for_vectors<T>(n, [&](auto access, std::int64_t i) HWY_ATTR {
    const auto x = access.load(gate + i);
    access.store(hn::Mul(hn::Mul(x, sigmoid_of<T>(x)), access.load(up + i)), y + i);
  });
}

template <typename T>
void backward(const T* gate, const T* up, const T* dy, T* dgate, T* dup, std::int64_t n) {
  for_vectors<T>(n, [&](auto access, std::int64_t i) HWY_ATTR {
    const auto x = access.load(gate + i);
    const auto g = access.load(dy + i);
    const auto s = sigmoid_of<T>(x);
    access.store(hn::Mul(hn::Mul(g, access.load(up + i)), silu_slope<T>(x, s)), dgate + i);
    access.store(hn::Mul(g, hn::Mul(x, s)), dup + i);
  });
}

void forward_f32(const float* gate, const float* up, float* y, std::int64_t n) { forward(gate, up, y, n); }
void forward_f64(const double* gate, const double* up, double* y, std::int64_t n) { forward(gate, up, y, n); }
void forward_bf16(const bfloat16* gate, const bfloat16* up, bfloat16* y, std::int64_t n) { forward(gate, up, y, n); }
void backward_f32(const float* gate, const float* up, const float* dy, float* dgate, float* dup, std::int64_t n) {
  backward(gate, up, dy, dgate, dup, n);
}
void backward_f64(const double* gate, const double* up, const double* dy, double* dgate, double* dup, std::int64_t n) {
  backward(gate, up, dy, dgate, dup, n);
}
void backward_bf16(const bfloat16* gate, const bfloat16* up, const bfloat16* dy, bfloat16* dgate, bfloat16* dup,
                   std::int64_t n) {
  backward(gate, up, dy, dgate, dup, n);
}

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

HWY_EXPORT(forward_f32);
HWY_EXPORT(forward_f64);
HWY_EXPORT(forward_bf16);
HWY_EXPORT(backward_f32);
HWY_EXPORT(backward_f64);
HWY_EXPORT(backward_bf16);

void run(const float* gate, const float* up, float* y, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(forward_f32)(gate, up, y, n);
}
void run(const double* gate, const double* up, double* y, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(forward_f64)(gate, up, y, n);
}
void run(const bfloat16* gate, const bfloat16* up, bfloat16* y, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(forward_bf16)(gate, up, y, n);
}
void run(const float* gate, const float* up, const float* dy, float* dgate, float* dup, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(backward_f32)(gate, up, dy, dgate, dup, n);
}
void run(const double* gate, const double* up, const double* dy, double* dgate, double* dup, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(backward_f64)(gate, up, dy, dgate, dup, n);
}
void run(const bfloat16* gate, const bfloat16* up, const bfloat16* dy, bfloat16* dgate, bfloat16* dup, std::int64_t n) {
  HWY_DYNAMIC_DISPATCH(backward_bf16)(gate, up, dy, dgate, dup, n);
}

// (gate, up, dy) → dgate, dup.
class SwigluBackward final : public Op {
 public:
  std::string_view name() const override { return "swiglu_backward"; }
  Traits traits() const override { return {.elementwise = true, .differentiable = false}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 3);
    check_floating(name(), in);
    if (in[1] != in[0] || in[2] != in[0]) refuse(name(), in, "gate, up and dy of one shape");
    return {in[0], in[0]};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepared([gate = args.inputs[0].data<T>(), up = args.inputs[1].data<T>(), dy = args.inputs[2].data<T>(),
                       dgate = args.outputs[0].data<T>(), dup = args.outputs[1].data<T>(),
                       n = args.outputs[0].elements(), threads = threads_of(args)] {
        parallel_for(threads, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
          run(gate + begin, up + begin, dy + begin, dgate + begin, dup + begin, end - begin);
        });
      });
    });
  }
};

class Swiglu final : public Op {
 public:
  std::string_view name() const override { return "swiglu"; }
  Traits traits() const override { return {.elementwise = true, .gradient_reads_outputs = 0}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    check_floating(name(), in);
    if (in[1] != in[0]) refuse(name(), in, "gate and up of one shape");
    return {in[0]};
  }
  Tensors vjp(const VjpArgs& args) const override {
    const Tensor inputs[] = {args.inputs[0], args.inputs[1], args.gradients[0]};
    return convoy::apply(shared_op<SwigluBackward>(), inputs);
  }
  std::optional<Again> again(std::size_t, std::span<const Spec>) const override { return Again{.operands = {0, 1}}; }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepared([gate = args.inputs[0].data<T>(), up = args.inputs[1].data<T>(), y = args.outputs[0].data<T>(),
                       n = args.outputs[0].elements(), threads = threads_of(args)] {
        parallel_for(threads, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
          run(gate + begin, up + begin, y + begin, end - begin);
        });
      });
    });
  }
};

const RegisterOp kRegistered[] = {RegisterOp("swiglu", shared_op_of<Swiglu>),
                                  RegisterOp("swiglu_backward", shared_op_of<SwigluBackward>)};

}  // namespace

Tensor swiglu(const Tensor& gate, const Tensor& up) { return apply_one(shared_op<Swiglu>(), {gate, up}); }

}  // namespace convoy
#endif
