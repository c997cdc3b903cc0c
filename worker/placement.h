// Which cores a worker runs on: a share of those the launcher allows, so that workers of one host do not get in each
// other's way.
#pragma once

#include <cstdint>

#include "cluster/place.h"
#include "core/base/log.h"

namespace convoy::worker {

// Binds the calling thread (and those it will start) to cores number local_rank · threads … of the affinity mask it
// has, where the run takes more than half of them. A smaller run is left to the system: bound, it would sit on the same
// first cores as another one beside it. Cores that mpirun or srun chose for this worker alone are left as they are.
// Warns, from the first local rank, where there are fewer cores than threads.
void bind_to_cores(const cluster::Place& place, std::int64_t threads, Logger& logger);

}  // namespace convoy::worker
