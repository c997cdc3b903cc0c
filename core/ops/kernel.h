// Small things that the operators' CPU code shares.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/device/parallel.h"
#include "core/graph/op.h"

namespace convoy {

// The least number of elements worth a thread of its own.
constexpr std::int64_t kGrain = 16384;

inline CpuDevice& cpu_of(const PrepareArgs& args) { return static_cast<CpuDevice&>(args.device); }
inline int threads_of(const PrepareArgs& args) { return cpu_of(args).threads(); }

// What a prepared call captures of a contiguous operand that it walks through.
template <typename T>
std::span<T> elements_of(const Tensor& tensor) {
  return {tensor.data<std::remove_const_t<T>>(), static_cast<std::size_t>(tensor.elements())};
}

// f(T{}) for the floating type that dtype names. The op's infer() has refused all others (check_floating).
template <typename F>
auto with_floating(DType dtype, const F& f) {
  if (dtype == DType::kF32) return f(float{});
  if (dtype == DType::kBF16) return f(bfloat16{});
  return f(double{});
}

// The same for ops that do not take bf16 (check_wide).
template <typename F>
auto with_wide(DType dtype, const F& f) {
  if (dtype == DType::kF32) return f(float{});
  return f(double{});
}

inline std::string names_of(std::span<const Spec> specs) {
  std::string text;
  for (const Spec& spec : specs) text += (text.empty() ? "" : ", ") + spec.to_string();
  return text;
}

// "add: got f32[2], f32[3]; expected …"
[[noreturn]] inline void refuse(std::string_view op, std::span<const Spec> got, std::string_view expected) {
  fail(ErrorCode::kInvalidArgument, "{}: got {}; expected {}", op, names_of(got), expected);
}

inline void check_count(std::string_view op, std::span<const Spec> inputs, std::size_t count) {
  if (inputs.size() != count)
    fail(ErrorCode::kInvalidArgument, "{}: got {} inputs; expected {}", op, inputs.size(), count);
}

inline void check_floating(std::string_view op, std::span<const Spec> inputs) {
  for (const Spec& input : inputs) {
    if (!is_floating(input.dtype) || input.dtype != inputs[0].dtype)
      refuse(op, inputs, "f32, f64 or bf16, all the same");
  }
}

inline bool is_wide(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF64; }

// The same for ops that do not take bf16.
inline void check_wide(std::string_view op, std::span<const Spec> inputs) {
  for (const Spec& input : inputs) {
    if (!is_wide(input.dtype) || input.dtype != inputs[0].dtype) refuse(op, inputs, "f32 or f64, all the same");
  }
}

// For ops of activations and parameters: the first `activations` inputs have one floating dtype, the others that in
// which it is computed with (compute_dtype: f32 beside bf16).
inline void check_mixed(std::string_view op, std::span<const Spec> inputs, std::size_t activations) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const DType first = inputs[0].dtype;
    if (!is_floating(first) || inputs[i].dtype != (i < activations ? first : compute_dtype(first)))
      refuse(op, inputs, "f32 or f64, all the same, or bf16 activations with f32 parameters");
  }
}

// The axis counted from the front.
inline int normal_axis(std::string_view op, std::int64_t axis, const Shape& shape) {
  const std::int64_t result = axis < 0 ? axis + shape.rank() : axis;
  if (result < 0 || result >= shape.rank())
    fail(ErrorCode::kInvalidArgument, "{}: axis {} of shape {}; expected one of its {} axes", op, axis,
         shape.to_string(), shape.rank());
  return static_cast<int>(result);
}

// Shape [..., C] seen as rows of C.
inline std::int64_t rows_of(const Shape& shape) {
  std::int64_t rows = 1;
  for (int i = 0; i + 1 < shape.rank(); ++i) rows *= shape[i];
  return rows;
}

inline Shape without_last(const Shape& shape) {
  return Shape(std::span(shape.begin(), static_cast<std::size_t>(shape.rank() - 1)));
}

// Ops without attributes are made once: the registry and the functions that apply them share one.
template <typename T>
const OpPtr& shared_op() {
  static const OpPtr op = std::make_shared<T>();
  return op;
}
template <typename T>
OpPtr shared_op_of() {
  return shared_op<T>();
}

// How many rows of `width` elements make a piece worth a thread.
inline std::int64_t row_grain(std::int64_t width) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, width));
}

}  // namespace convoy
