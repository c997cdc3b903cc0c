// The engine "mpi": workers of any number of hosts that mpirun (or srun with PMIx) started.
#pragma once

#include <cstddef>
#include <memory>

#include "distributed/engine.h"
#include "distributed/mpi/session.h"

namespace convoy::distributed {

// `session` outlives the engine. Ranks of the run and of MPI are the same (checked by whoever made the session).
std::unique_ptr<Engine> make_mpi_engine(MpiSession& session, std::size_t arena_bytes);

}  // namespace convoy::distributed
