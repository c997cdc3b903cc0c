// `convoy eval`, and the same of a program built on the library.
#pragma once

#include "launcher/command_line.h"
#include "launcher/output.h"
#include "worker/workload.h"

namespace convoy::library {

// Prints the held-out loss and accuracy of a checkpoint. Returns the process's exit code; throws Error.
int run_eval(const launcher::EvalLine& line, const worker::Workload& workload, launcher::Output& output);

}  // namespace convoy::library
