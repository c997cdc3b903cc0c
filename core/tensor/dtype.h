// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace convoy {

enum class DType : std::uint8_t { kF32, kF64, kI32, kI64 };

constexpr std::size_t size_of(DType dtype) { return dtype == DType::kF32 || dtype == DType::kI32 ? 4 : 8; }
constexpr bool is_floating(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF64; }
constexpr std::string_view name_of(DType dtype) {
  constexpr std::string_view kNames[] = {"f32", "f64", "i32", "i64"};
  return kNames[static_cast<int>(dtype)];
}

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

}  // namespace convoy
