#include "tests/distributed/tcp/tcp_ranks.h"

#include <fmt/format.h>

namespace convoy::distributed::testing {

void run_tcp_ranks(std::int32_t size, const std::function<void(TcpRankContext&)>& body,
                   const ProcessesOptions& options) {
  // Made before anybody runs, as workers listen before the scheduler announces an epoch.
  std::vector<TcpMember> members;
  std::vector<std::unique_ptr<TcpRendezvous>> rendezvous;
  for (std::int32_t rank = 0; rank < size; ++rank) {
    rendezvous.push_back(std::make_unique<TcpRendezvous>("127.0.0.1"));
    members.push_back({rendezvous.back()->place(), fmt::format("worker {}", rank), Uuid::random()});
  }
  const auto run_rank = [&](std::int32_t rank, const std::vector<pid_t>& pids) {
    for (std::int32_t other = 0; other < size; ++other)
      if (other != rank) rendezvous[static_cast<std::size_t>(other)].reset();
    TcpRankContext context{rank, members, *rendezvous[static_cast<std::size_t>(rank)], pids};
    body(context);
  };
  run_processes(
      size, run_rank, [&] { rendezvous.clear(); }, options);
}

}  // namespace convoy::distributed::testing
