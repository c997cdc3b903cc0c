// One worker of a run, as `convoy train` and every program built on the library are: finds its place, brings the
// scheduler along where there is none, and trains.
#pragma once

#include <chrono>

#include "launcher/command_line.h"
#include "launcher/output.h"
#include "worker/workload.h"

namespace convoy::library {

// Returns the process's exit code. Throws Error: kUsage for what is wrong before the run begins. From the main thread,
// before any other is started. `started`: when the process was.
int run_worker(const launcher::TrainLine& line, const worker::Workload& workload, launcher::Output& output,
               std::chrono::steady_clock::time_point started);

}  // namespace convoy::library
