// `convoy status`: what a run's scheduler tells over HTTP, or, where none answers, what the run directory does.
#pragma once

#include <iosfwd>

#include "launcher/command_line.h"

namespace convoy::library {

inline constexpr char kHttpTokenVariable[] = "CONVOY_HTTP_TOKEN";

// Returns the process's exit code: 0. Throws Error(kUsage) for a source or token file that makes no sense,
// Error(kUnavailable) where there is no run or nobody answers. Standard output is drawn on where it is a terminal.
int run_status(const launcher::StatusLine& line, std::ostream& output);

}  // namespace convoy::library
