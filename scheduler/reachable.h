// Who stays when workers cannot reach each other: the largest set whose members can.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace convoy::scheduler {

// Of `count` workers in the order of their UUIDs, the largest set without two that `broken` names together; of several,
// the one with the lowest UUID (then the next, …). Where some are `needed`, the set has one of them. Ascending.
// Exact while at most 20 workers have broken links; beyond, who has the most of them goes first, which keeps the
// largest side of a partition.
std::vector<std::size_t> largest_mutually_reachable(std::size_t count,
                                                    std::span<const std::pair<std::size_t, std::size_t>> broken,
                                                    const std::vector<bool>& needed);

}  // namespace convoy::scheduler
