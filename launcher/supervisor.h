// Starts a run's processes on this machine, watches them and ends them: the agent of one node.
//
// One thread and one poll loop over children, their output, the link to the scheduler, signals and deadlines. The
// scheduler decides how a run ends and words why; where it cannot, because it is gone or silent, the launcher does.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "launcher/output.h"

namespace convoy::launcher {

// How long each party may take before the launcher goes on without it.
struct LaunchLimits {
  std::chrono::milliseconds scheduler_start{20'000};  // from its start to its address
  std::chrono::milliseconds scheduler_answer{2'000};  // from a worker's death, or a user's signal, to its verdict
  std::chrono::milliseconds finish{10'000};           // from a verdict of success, or a user's signal, to the end
  std::chrono::milliseconds terminate{1'000};         // from SIGTERM to SIGKILL after a failure
};

struct LaunchOptions {
  std::string program;         // the executable of the scheduler
  std::string worker_program;  // of the workers; empty: the same
  int workers = 1;
  std::vector<std::string> scheduler_arguments;  // {"scheduler", "--run", …}
  std::vector<std::string> worker_arguments;     // {"train", "gpt.toml", "--run", …}
  std::vector<std::string> environment;          // "NAME=value": what children inherit beside what they are told
  std::string run_directory;                     // told to workers; empty: they know
  LaunchLimits limits;
};

// Runs to the end and returns the exit code of the run; no child is left then. Call it from the main thread, before
// others are started. Throws Error(kUnavailable) when a process cannot be started.
int launch(const LaunchOptions& options, Output& output);

}  // namespace convoy::launcher
