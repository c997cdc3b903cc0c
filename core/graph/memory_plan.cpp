#include "core/graph/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <string_view>
#include <utility>

#include "core/device/device.h"

namespace convoy {
namespace {

std::size_t padded(std::size_t bytes) {
  return (bytes + Device::kAlignment - 1) / Device::kAlignment * Device::kAlignment;
}

bool meet(const Buffer& a, const Buffer& b) { return a.first <= b.last && b.first <= a.last; }

std::size_t most_alive(std::span<const Buffer> buffers) {
  // Bytes that come and go, by step; what goes at a step is alive in it.
  std::vector<std::pair<std::int32_t, std::int64_t>> changes;
  for (const Buffer& buffer : buffers) {
    const auto bytes = static_cast<std::int64_t>(padded(buffer.bytes));
    changes.emplace_back(buffer.first, bytes);
    changes.emplace_back(buffer.last + 1, -bytes);
  }
  std::sort(changes.begin(), changes.end());
  std::int64_t alive = 0, most = 0;
  for (const auto& [step, bytes] : changes) most = std::max(most, alive += bytes);
  return static_cast<std::size_t>(most);
}

// Puts buffers into the smallest gap between those already placed that are alive meanwhile, in the order given.
MemoryPlan place(std::span<const Buffer> buffers, const std::vector<std::size_t>& order) {
  MemoryPlan plan;
  plan.offsets.resize(buffers.size());
  std::vector<std::size_t> placed;  // by offset
  for (const std::size_t i : order) {
    const std::size_t bytes = padded(buffers[i].bytes);
    std::size_t best = 0, best_gap = ~std::size_t{0}, end = 0;
    for (const std::size_t other : placed) {
      if (!meet(buffers[i], buffers[other])) continue;
      const std::size_t begin = plan.offsets[other];
      if (begin > end && begin - end >= bytes && begin - end < best_gap) {
        best = end;
        best_gap = begin - end;
      }
      end = std::max(end, begin + padded(buffers[other].bytes));
    }
    if (best_gap == ~std::size_t{0}) best = end;
    plan.offsets[i] = best;
    plan.bytes = std::max(plan.bytes, best + bytes);
    const auto behind = [&](std::size_t a, std::size_t b) { return plan.offsets[a] < plan.offsets[b]; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i, behind), i);
  }
  return plan;
}

}  // namespace

MemoryPlan plan_memory(std::span<const Buffer> buffers) {
  const auto length = [&](std::size_t i) { return std::int64_t{buffers[i].last} - buffers[i].first + 1; };
  const auto bytes = [&](std::size_t i) { return static_cast<std::int64_t>(buffers[i].bytes); };
  using Rank = std::function<std::pair<std::int64_t, std::int64_t>(std::size_t)>;
  const std::pair<std::string_view, Rank> orders[] = {
      {"by size", [&](std::size_t i) { return std::pair(-bytes(i), -length(i)); }},
      {"by lifetime", [&](std::size_t i) { return std::pair(-length(i), -bytes(i)); }},
      {"by size times lifetime", [&](std::size_t i) { return std::pair(-bytes(i) * length(i), -bytes(i)); }},
      {"by birth", [&](std::size_t i) { return std::pair(std::int64_t{buffers[i].first}, -bytes(i)); }},
      {"by death", [&](std::size_t i) { return std::pair(-std::int64_t{buffers[i].last}, -bytes(i)); }},
  };
  MemoryPlan best;
  const std::size_t bound = most_alive(buffers);
  for (const auto& [name, rank] : orders) {
    std::vector<std::size_t> order(buffers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });
    MemoryPlan plan = place(buffers, order);
    if (best.heuristic.empty() || plan.bytes < best.bytes) {
      best = std::move(plan);
      best.heuristic = name;
    }
    if (best.bytes == bound) break;
  }
  best.lower_bound = bound;
  return best;
}

std::string find_overlap(std::span<const Buffer> buffers, const MemoryPlan& plan) {
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (!meet(buffers[i], buffers[k])) continue;
      if (plan.offsets[i] < plan.offsets[k] + buffers[k].bytes && plan.offsets[k] < plan.offsets[i] + buffers[i].bytes)
        return fmt::format("buffers {} and {} share bytes in steps {} to {}", k, i,
                           std::max(buffers[i].first, buffers[k].first), std::min(buffers[i].last, buffers[k].last));
    }
  }
  return "";
}

}  // namespace convoy
