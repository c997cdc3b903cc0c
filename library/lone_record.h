// What a worker writes down where there is no scheduler any more.
#pragma once

#include <string>
#include <vector>

#include "cluster/messages.h"

namespace convoy::library {

// Adds steps and evaluations to the run's records, as its scheduler would have. Throws Error(kUsage) where a scheduler
// lives that this process only cannot reach, Error(kUnavailable) for what cannot be written.
void record_reports(const std::string& run_directory, const std::vector<cluster::Body>& reports);

}  // namespace convoy::library
