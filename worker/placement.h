// Which cores a worker runs on: a share of those the launcher allows, so that workers of one host do not get in each
// other's way.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cluster/place.h"
#include "core/base/log.h"

namespace convoy::worker {

// Binds the calling thread (and those it will start) to `threads` cores of the affinity mask it has: its own share, by
// local rank. A run that takes less than half of them is left to the system: bound, it would sit on the same first
// cores as another one beside it. Cores that mpirun or srun chose for this worker alone are left as they are. Who joins
// a run finds others bound already, and takes the cores that fewest of them are bound to. Warns, from the first local
// rank, where there are fewer cores than threads.
void bind_to_cores(const cluster::Place& place, std::int64_t threads, Logger& logger);

// `cores` in the order in which to take them: those with the fewest processes bound to them first. bound[c]: to core c;
// what is beyond its end has none.
std::vector<int> least_bound_first(std::vector<int> cores, std::span<const int> bound);

// How many processes are bound to each core, by its number: those that may run on some of `cores`, but not on all.
// Children of `parent` do not count, nor what cannot be looked at.
std::vector<int> processes_bound_to(std::span<const int> cores, int parent);

}  // namespace convoy::worker
