// What the program's commands need of the worker room.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "cluster/place.h"
#include "core/base/log.h"
#include "core/base/recipe.h"
#include "core/base/signals.h"
#include "distributed/mpi/session.h"
#include "worker/workload.h"

namespace convoy::worker {

struct TrainCommand {
  Recipe recipe;
  Workload workload;
  std::string run_directory;  // exists; rank 0 writes recipe.toml, logs/ and checkpoints/ there
  cluster::Place place;       // with the scheduler's credentials
  cluster::Environment environment;
  // SIGINT and SIGTERM, collected since before the first thread. Called once, when the worker can answer them.
  std::function<SignalReceiver&()> take_signals;
  std::chrono::steady_clock::time_point started;  // of the process
  std::function<void()> on_second_signal;         // the user asked again; any thread, may be empty
  distributed::MpiSession* mpi = nullptr;         // the engine is "mpi", and this is what it needs
};

// Trains as one worker of the run. Returns the process's exit code; throws Error when this worker itself failed (the
// scheduler has been told, if it was reached by then). A signal becomes a request to stop the whole run.
int train(const TrainCommand& command, Logger& logger);

// Opens the data and builds the model as a worker would, so that what is wrong is said once, before any process is
// started. Throws Error(kUsage).
void preflight(const Recipe& recipe, const Workload& workload);

struct GenerateCommand {
  std::string source;  // a run directory or a checkpoint in it
  std::string prompt;
  std::int64_t tokens = 256;
  double temperature = 0.8;  // 0: always the likeliest token
  std::uint64_t seed = 1;
};

// Writes the prompt and its continuation to `out`, token by token.
void generate(const GenerateCommand& command, std::ostream& out);

}  // namespace convoy::worker
