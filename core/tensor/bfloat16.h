// bfloat16: the upper half of a float. Values are stored in it and computed with in float.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace convoy {

// Conversions round to the nearest, ties to even, once; what is too large becomes infinite and NaN stays NaN. There is
// no arithmetic: compute in Compute<bfloat16> and round at the store.
class bfloat16 {
 public:
  bfloat16() = default;
  explicit constexpr bfloat16(float value) : bits_(rounded(value)) {}
  explicit constexpr bfloat16(double value) : bits_(rounded(odd(value))) {}
  template <typename T>
  requires std::is_integral_v<T>
  explicit constexpr bfloat16(T value) : bfloat16(static_cast<double>(value)) {}

  template <typename T>
  requires std::is_arithmetic_v<T>
  explicit constexpr operator T() const {
    return static_cast<T>(std::bit_cast<float>(static_cast<std::uint32_t>(bits_) << 16));
  }

  static constexpr bfloat16 from_bits(std::uint16_t bits) {
    bfloat16 result{};
    result.bits_ = bits;
    return result;
  }
  constexpr std::uint16_t bits() const { return bits_; }

 private:
  static constexpr std::uint16_t rounded(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);
    return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
  }
  // The float next to `value` whose last bit is set where it is not exact: rounding that again rounds `value` once.
  static constexpr float odd(double value) {
    const auto near = static_cast<float>(value);
    const auto bits = std::bit_cast<std::uint32_t>(near);
    if (value != value || static_cast<double>(near) == value || (bits & 1U) != 0) return near;
    const bool beyond = value < 0 ? static_cast<double>(near) < value : static_cast<double>(near) > value;
    return std::bit_cast<float>(beyond ? bits - 1 : bits + 1);
  }

  std::uint16_t bits_;
};
static_assert(sizeof(bfloat16) == 2 && std::is_trivial_v<bfloat16>);

// The type that kernels compute in on elements of T.
template <typename T>
using Compute = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

}  // namespace convoy
