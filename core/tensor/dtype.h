// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/tensor/bfloat16.h"

namespace convoy {

enum class DType : std::uint8_t { kF32, kF64, kI32, kI64, kBF16 };

constexpr DType kDTypes[] = {DType::kF32, DType::kF64, DType::kI32, DType::kI64, DType::kBF16};

constexpr std::size_t size_of(DType dtype) {
  constexpr std::size_t kSizes[] = {4, 8, 4, 8, 2};
  return kSizes[static_cast<int>(dtype)];
}
constexpr bool is_floating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kBF16;
}
constexpr std::string_view name_of(DType dtype) {
  constexpr std::string_view kNames[] = {"f32", "f64", "i32", "i64", "bf16"};
  return kNames[static_cast<int>(dtype)];
}
// What kernels compute in on elements of `dtype`. Where activations are `dtype`, parameters, their gradients, sums and
// statistics have this one.
constexpr DType compute_dtype(DType dtype) { return dtype == DType::kBF16 ? DType::kF32 : dtype; }

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kF64;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::kI64;
};
template <>
struct DTypeOf<bfloat16> {
  static constexpr DType value = DType::kBF16;
};

}  // namespace convoy
