#include "core/base/quantity.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstddef>

namespace convoy {

double unsigned_nan(double value) { return std::isnan(value) ? std::abs(value) : value; }

std::string with_prefix(double value, std::string_view unit) {
  constexpr std::array<std::string_view, 6> kPrefixes = {"", "k", "M", "G", "T", "P"};
  std::size_t prefix = 0;
  // 999.5 would be printed as 1000.
  while (std::abs(value) >= 999.5 && prefix + 1 < kPrefixes.size()) {
    value /= 1000.0;
    ++prefix;
  }
  const double size = std::abs(value);
  const int decimals = size >= 99.95 || (prefix == 0 && value == std::floor(value)) ? 0 : size >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}{}", value, decimals, kPrefixes[prefix], unit);
}

}  // namespace convoy
