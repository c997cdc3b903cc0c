// The engine "gloo": workers of any number of hosts, over TCP. A communicator that failed is replaced by another one
// in the same process, with those who are left.
#pragma once

#include <memory>
#include <string>

#include "distributed/engine.h"

namespace convoy::distributed {

// Listens where peers can reach this host (EngineOptions.scheduler, .spans_hosts). Throws Error(kUnavailable).
std::unique_ptr<Engine> make_tcp_engine(const EngineOptions& options);

}  // namespace convoy::distributed
