// `convoy audit`, and the same of a program built on the library.
#pragma once

#include "launcher/command_line.h"
#include "launcher/output.h"
#include "worker/workload.h"

namespace convoy::library {

// Says whether a run used each shard and each sample exactly once; a line for whatever it did not. Returns the
// process's exit code; throws Error.
int run_audit(const launcher::AuditLine& line, const worker::Workload& workload, launcher::Output& output);

}  // namespace convoy::library
