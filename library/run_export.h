// `convoy export`, and the same of a program built on the library.
#pragma once

#include "launcher/command_line.h"
#include "launcher/output.h"
#include "worker/workload.h"

namespace convoy::library {

// Writes a checkpoint's model to a file for other programs. Returns the process's exit code; throws Error.
int run_export(const launcher::ExportLine& line, const worker::Workload& workload, launcher::Output& output);

}  // namespace convoy::library
