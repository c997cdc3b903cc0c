// A run as its directory tells of it: for runs that are over, and for those whose scheduler cannot be asked.
#pragma once

#include <string>

#include "scheduler/run_view.h"

namespace convoy::scheduler {

// From recipe.toml, metrics.jsonl, events.jsonl, final.json and the journal; what is torn, damaged or missing is left
// out. The state is kFinished (there is a final.json), kStopped (the last event of importance says so) or kAway. Throws
// Error(kUsage) for what is no run directory.
RunView read_recorded_run(const std::string& run_directory);

}  // namespace convoy::scheduler
