// How `convoy launch --join` finds the run that its workers are to join.
#pragma once

#include <optional>
#include <string>

#include "cluster/link.h"
#include "cluster/place.h"

namespace convoy::launcher {

struct RunUnderWay {
  cluster::Credentials scheduler;
  std::string run_directory;
  bool open = false;  // to workers of other hosts: it says an address that they reach
};

// `address`: a run's directory, which says where its scheduler is (launcher/scheduler_file.h), or HOST:PORT; then the
// token is in `environment` (CONVOY_TOKEN) or in the directory `run`. Throws Error(kUsage) for what is no run under
// way, or not enough to be let in, Error(kPeerLost) naming the addresses where nobody answers.
RunUnderWay find_run(const std::string& address, const std::optional<std::string>& run,
                     const cluster::Environment& environment);

}  // namespace convoy::launcher
