// Runs a test body as N ranks, each a process of its own: with what the local engine needs, or with nothing.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "distributed/local/local_communicator.h"
#include "distributed/local/rendezvous.h"
#include "distributed/local/segment.h"

namespace convoy::distributed::testing {

// One rank's belongings.
struct RankContext {
  std::int32_t rank = 0;
  std::vector<LocalMember> members;
  Rendezvous& rendezvous;
  Segment& segment;
  std::vector<pid_t> pids;  // of the ranks started before this one

  LocalOptions options() {
    return {.rank = rank,
            .members = members,
            .ballot = {1, 1},
            .token = "the run's token",
            .segment = segment,
            .rendezvous = rendezvous,
            .timeout = std::chrono::seconds(20)};
  }
  std::unique_ptr<Communicator> communicator() { return make_local_communicator(options()); }
};

struct RanksOptions {
  SegmentOptions segment{.arena_bytes = 4 << 20, .staging_bytes = 64 << 10};
  std::int32_t killed = -1;
  std::chrono::seconds deadline{30};
};

struct ProcessesOptions {
  std::int32_t killed = -1;  // a rank that is expected to die of SIGKILL
  std::chrono::seconds deadline{30};
};
// `pids` are those of the ranks started before this one.
using ProcessBody = std::function<void(std::int32_t rank, const std::vector<pid_t>& pids)>;

// Runs `body` in `size` processes; a failed expectation or an exception in one of them fails the test. Processes that
// are not done at the deadline are killed. `started` runs here once all have been started.
void run_processes(std::int32_t size, const ProcessBody& body, const std::function<void()>& started,
                   const ProcessesOptions& options = {});

// The same as ranks of the local engine.
void run_ranks(std::int32_t size, const std::function<void(RankContext&)>& body, const RanksOptions& options = {});

int open_descriptors();

}  // namespace convoy::distributed::testing
