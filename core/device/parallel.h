// Splitting a kernel's loop over the device's threads. The pieces never decide a result's bits: reductions work on a
// grid of their own and combine in grid order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/device/team_order.h"

namespace convoy {

// Calls body(begin, end) for consecutive pieces of [0, n) on up to `threads` threads; pieces hold at least `grain`
// items (but the last). The body must not throw.
template <typename Body>
CONVOY_UNSEEN_BY_TSAN void parallel_for(int threads, std::int64_t n, std::int64_t grain, const Body& body) {
  if (n <= 0) return;
  const std::int64_t most = std::max<std::int64_t>(1, n / std::max<std::int64_t>(1, grain));
  const std::int64_t pieces = std::min<std::int64_t>(threads, most);
  if (pieces == 1) {
    body(std::int64_t{0}, n);
    return;
  }
  TeamOrder order;
  // Always the same team: OpenMP ends the threads that a smaller one has no use for, and starts them anew.
#pragma omp parallel for schedule(static, 1) num_threads(threads)
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    order.begin_piece();
    body(n * piece / pieces, n * (piece + 1) / pieces);
    order.end_piece();
  }
  order.end();
}

}  // namespace convoy
