// How much of a data set that comes in one piece is kept from training.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace convoy {

// The size of the tail of `n` ≥ 1 items that `fraction` holds out: rounded to the nearest, at least one item.
inline std::int64_t held_out(std::int64_t n, double fraction) {
  return std::clamp<std::int64_t>(std::llround(static_cast<double>(n) * fraction), 1, n);
}

}  // namespace convoy
