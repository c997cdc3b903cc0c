#include "core/graph/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "core/device/device.h"

namespace convoy {
namespace {

std::size_t padded(std::size_t bytes) {
  return (bytes + Device::kAlignment - 1) / Device::kAlignment * Device::kAlignment;
}

bool meet(const Buffer& a, const Buffer& b) { return a.first <= b.last && b.first <= a.last; }

// Bytes alive at each step.
std::vector<std::int64_t> bytes_alive(std::span<const Buffer> buffers) {
  std::int32_t last = -1;
  for (const Buffer& buffer : buffers) last = std::max(last, buffer.last);
  std::vector<std::int64_t> alive(static_cast<std::size_t>(last + 2));
  const auto at = [&](std::int32_t step) -> std::int64_t& {
    return alive[static_cast<std::size_t>(std::max(step, 0))];
  };
  for (const Buffer& buffer : buffers) {
    at(buffer.first) += static_cast<std::int64_t>(padded(buffer.bytes));
    at(buffer.last + 1) -= static_cast<std::int64_t>(padded(buffer.bytes));
  }
  std::partial_sum(alive.begin(), alive.end(), alive.begin());
  return alive;
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

using Order = std::vector<std::size_t>;

// The highest buffer changes places in the order with one that it is alive with or that is placed first, again and
// again; what makes the plan larger is taken back. As hill climbing does, but drawn from a fixed sequence, and within
// an amount of work.
void improve(std::span<const Buffer> buffers, Order order, std::size_t bound, MemoryPlan& best) {
  constexpr std::size_t kWork = 1 << 25;  // comparisons of two buffers
  constexpr std::size_t kTries = 1000;
  const std::size_t tries = std::min(kTries, kWork / (buffers.size() * buffers.size() + 1));
  std::minstd_rand draw(1);
  MemoryPlan plan = place(buffers, order);
  Order candidates;
  for (std::size_t i = 0; i < tries && best.bytes > bound; ++i) {
    const auto end = [&](std::size_t b) { return plan.offsets[b] + padded(buffers[b].bytes); };
    const auto highest = static_cast<std::size_t>(
        std::max_element(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return end(a) < end(b); }) -
        order.begin());
    candidates.assign(1, 0);
    for (std::size_t k = 0; k < highest; ++k) {
      if (meet(buffers[order[k]], buffers[order[highest]])) candidates.push_back(k);
    }
    const std::size_t to = candidates[draw() % candidates.size()];
    const auto begin = order.begin();
    const auto at = [&](std::size_t k) { return begin + static_cast<std::ptrdiff_t>(k); };
    std::rotate(at(to), at(highest), at(highest) + 1);
    MemoryPlan next = place(buffers, order);
    // Now and then a worse one is gone on from, or a single buffer in the way would end the search.
    if (next.bytes > plan.bytes && draw() % 8 != 0) {
      std::rotate(at(to), at(to) + 1, at(highest) + 1);
      continue;
    }
    plan = std::move(next);
    if (plan.bytes < best.bytes) {
      const std::string heuristic = best.heuristic;
      best = plan;
      best.heuristic = heuristic;
    }
  }
}

}  // namespace

MemoryPlan plan_memory(std::span<const Buffer> buffers) {
  const std::vector<std::int64_t> alive = bytes_alive(buffers);
  const auto bound = static_cast<std::size_t>(std::max<std::int64_t>(0, *std::max_element(alive.begin(), alive.end())));
  std::vector<std::int64_t> most_beside;  // by buffer: bytes alive with it
  for (const Buffer& buffer : buffers) {
    const auto first = alive.begin() + std::max(buffer.first, 0);
    most_beside.push_back(*std::max_element(first, alive.begin() + std::max(buffer.last, 0) + 1));
  }
  const auto length = [&](std::size_t i) { return std::int64_t{buffers[i].last} - buffers[i].first + 1; };
  const auto bytes = [&](std::size_t i) { return static_cast<std::int64_t>(buffers[i].bytes); };
  using Rank = std::function<std::pair<std::int64_t, std::int64_t>(std::size_t)>;
  const std::pair<std::string_view, Rank> ranks[] = {
      {"by size", [&](std::size_t i) { return std::pair(-bytes(i), -length(i)); }},
      {"by lifetime", [&](std::size_t i) { return std::pair(-length(i), -bytes(i)); }},
      {"by size times lifetime", [&](std::size_t i) { return std::pair(-bytes(i) * length(i), -bytes(i)); }},
      {"by birth", [&](std::size_t i) { return std::pair(std::int64_t{buffers[i].first}, -bytes(i)); }},
      {"by death", [&](std::size_t i) { return std::pair(-std::int64_t{buffers[i].last}, -bytes(i)); }},
      {"by what is alive with it", [&](std::size_t i) { return std::pair(-most_beside[i], -bytes(i)); }},
  };
  MemoryPlan best;
  Order best_order;
  for (const auto& [name, rank] : ranks) {
    Order order(buffers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });
    MemoryPlan plan = place(buffers, order);
    if (best.heuristic.empty() || plan.bytes < best.bytes) {
      best = std::move(plan);
      best.heuristic = name;
      best_order = std::move(order);
    }
    if (best.bytes == bound) break;
  }
  improve(buffers, std::move(best_order), bound, best);
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
