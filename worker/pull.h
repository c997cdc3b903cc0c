// What a worker asks a donor for.
#pragma once

#include <cstdint>

namespace convoy::worker {

// Part of what the other one serves. How it travels: worker/donor_wire.h.
struct Pull {
  enum class What : std::uint8_t {
    kState,    // as it is after `step`, for members of the epoch under whose ballot it is asked for
    kGradient  // the reduced gradient of `step`, for the same
  };
  What what{};
  std::int64_t step = 0;
  std::int64_t offset = 0;  // bytes
  std::int64_t bytes = 0;   // at most kMaxPieceBytes
  bool operator==(const Pull&) const = default;
};
inline constexpr std::int64_t kMaxPieceBytes = 4 << 20;

}  // namespace convoy::worker
