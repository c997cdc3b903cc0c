// A RunView for people, as `convoy status` prints it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "scheduler/run_view.h"

namespace convoy::library {

struct StatusFormat {
  std::string url{};        // of the run's page, where there is one
  std::size_t events = 10;  // the last ones are shown
};

// The whole of it, line by line.
std::vector<std::string> status_lines(const scheduler::RunView& view, const StatusFormat& format);
// The state and the progress, in one line.
std::string status_line(const scheduler::RunView& view);
// "10:15:02  step 17  worker_lost (rank 1)  worker 1 (pid 42) was killed by signal 9 (SIGKILL)"
std::string event_line(const scheduler::TimedEvent& event);

}  // namespace convoy::library
