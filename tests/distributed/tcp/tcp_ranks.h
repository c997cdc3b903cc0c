// Runs a test body as N ranks of the engine "gloo" on loopback, each a process of its own.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "distributed/tcp/tcp_communicator.h"
#include "distributed/tcp/tcp_rendezvous.h"
#include "tests/distributed/process_ranks.h"

namespace convoy::distributed::testing {

// One rank's belongings.
struct TcpRankContext {
  std::int32_t rank = 0;
  std::vector<TcpMember> members;
  TcpRendezvous& rendezvous;
  std::vector<pid_t> pids{};  // of the ranks started before this one

  TcpMeeting meeting() const {
    return {.ballot = {1, 1},
            .token = "the run's token",
            .rank = rank,
            .members = members,
            .timeout = std::chrono::seconds(20)};
  }
  std::unique_ptr<Communicator> communicator(const TcpMeeting& meeting) {
    return std::make_unique<TcpCommunicator>(meeting, rendezvous.meet(meeting));
  }
  std::unique_ptr<Communicator> communicator() { return communicator(meeting()); }
};

void run_tcp_ranks(std::int32_t size, const std::function<void(TcpRankContext&)>& body,
                   const ProcessesOptions& options = {});

}  // namespace convoy::distributed::testing
