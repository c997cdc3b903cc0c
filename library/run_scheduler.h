// The scheduler as a process of its own: what `convoy scheduler` is, and what rank 0 of an mpirun or srun starts its
// own program as.
#pragma once

#include <optional>

#include "launcher/command_line.h"
#include "launcher/output.h"

namespace convoy::library {

// Serves the run until it has ended. A launcher that waits for the scheduler's address gets it through its pipe;
// without one, address, key and token are left in the run directory. From the main thread. Returns the process's exit
// code; throws Error.
int run_scheduler(const launcher::SchedulerLine& line, launcher::Output& output);

// A program built on the library is started as the scheduler with the words that its user typed, which may be of the
// program's own kind; what to be is told through a pipe. Nothing: this process was not started for that.
std::optional<launcher::SchedulerLine> told_to_schedule();

}  // namespace convoy::library
