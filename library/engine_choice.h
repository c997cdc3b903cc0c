// Which engine the workers of a run use, and what that engine needs before the run begins.
#pragma once

#include <memory>

#include "cluster/place.h"
#include "core/base/recipe.h"
#include "distributed/mpi/session.h"

namespace convoy::library {

// Whether sync.engine, at this place, means MPI: "auto" does where an MPI launcher's workers span hosts. Throws
// Error(kUsage) where "mpi" is asked for and no MPI launcher started the workers, and where "local" is and workers of
// other hosts may join.
bool uses_mpi(const Recipe& recipe, const cluster::Place& place);

// Starts MPI. Throws Error(kUsage) where there is none, and when it numbers the workers otherwise than the launcher's
// variables do.
std::unique_ptr<distributed::MpiSession> start_mpi(const cluster::Place& place,
                                                   const cluster::Environment& environment);

}  // namespace convoy::library
