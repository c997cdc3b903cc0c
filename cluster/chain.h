// The rolling hash by which workers, donors and the scheduler tell whether two copies of the state went the same way.
#pragma once

#include <cstdint>

namespace convoy::cluster {

// Of the chain up to the step before, and of (step, checksum of its reduced gradient).
std::uint64_t chain_after(std::uint64_t chain, std::int64_t step, std::uint64_t checksum);
// Where a chain begins: with the initial state (step 0), or with the checkpoint of `step`.
std::uint64_t chain_from(std::int64_t step);

}  // namespace convoy::cluster
