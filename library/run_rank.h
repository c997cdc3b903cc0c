// One of several workers that mpirun or srun started: rank 0 brings the scheduler along, the others find it, and keep
// the next one if rank 0 dies and they do not.
#pragma once

#include <functional>
#include <string>

#include "cluster/place.h"
#include "core/base/recipe.h"
#include "distributed/mpi/session.h"
#include "launcher/command_line.h"
#include "launcher/output.h"
#include "worker/workload.h"

namespace convoy::library {

struct RankRun {
  const launcher::TrainLine& line;
  const worker::Workload& workload;
  launcher::Output& output;
  const cluster::Place& place;
  cluster::Environment environment;
  // Trains as a worker whose scheduler is known; its exit code. `find_scheduler`: see worker::TrainCommand.
  std::function<int(const Recipe& recipe, const std::string& run_directory, const cluster::Place& place,
                    distributed::MpiSession* mpi, const std::function<cluster::Credentials()>& find_scheduler)>
      train;
};

// Returns the process's exit code. What is wrong before the run begins is said by rank 0 alone, unless only another
// rank has it. From the main thread. Throws Error.
int run_rank(const RankRun& run);

}  // namespace convoy::library
