// Random 128-bit identifiers: one a worker process, one a run.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace convoy {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  static Uuid random();                      // from the kernel; throws Error(kUnavailable)
  static Uuid parse(std::string_view text);  // throws Error(kInvalidArgument) unless 32 hex digits, dashes allowed
  std::string to_string() const;             // 8-4-4-4-12 lower-case hex digits
  bool is_nil() const { return *this == Uuid{}; }
  auto operator<=>(const Uuid&) const = default;
};

// `bytes` random bytes from the kernel as lower-case hex.
std::string random_hex(int bytes);

}  // namespace convoy
