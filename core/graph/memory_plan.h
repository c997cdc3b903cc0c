// Where values lie in one block of memory: buffers that are never alive together may share a place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace convoy {

// Alive during steps [first, last] of a schedule.
struct Buffer {
  std::size_t bytes = 0;
  std::int32_t first = 0;
  std::int32_t last = 0;
};

struct MemoryPlan {
  std::vector<std::size_t> offsets{};  // by buffer, multiples of Device::kAlignment
  std::size_t bytes = 0;               // of the whole block
  std::size_t lower_bound = 0;         // the most bytes alive at once: no plan needs less
  std::string heuristic{};             // which of those tried was best
};

// The best of several greedy orders, each of which puts a buffer into the smallest gap that it fits (Pisarchyk & Lee
// 2020, "Efficient memory management for deep neural net inference"). Deterministic.
MemoryPlan plan_memory(std::span<const Buffer> buffers);

// The first pair of buffers that overlap in time and in memory, as text; empty where there is none. By brute force.
std::string find_overlap(std::span<const Buffer> buffers, const MemoryPlan& plan);

}  // namespace convoy
