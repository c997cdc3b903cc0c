#include "distributed/tcp/tcp_engine.h"

#include <fmt/format.h>

#include "cluster/address.h"
#include "core/base/error.h"
#include "distributed/pages.h"
#include "distributed/tcp/tcp_communicator.h"
#include "distributed/tcp/tcp_rendezvous.h"
#include "distributed/tcp/tcp_socket.h"

namespace convoy::distributed {
namespace {

// Where the peers reach this worker: at the interface that leads to the scheduler. The scheduler's own host reaches it
// through loopback, which leads nowhere else; there it is the first address that the host is known by.
std::string reachable_address(const EngineOptions& options) {
  const std::string address = own_address_towards(options.scheduler);
  if (!options.spans_hosts || !address.starts_with("127.")) return address;
  const std::vector<std::string> own = cluster::own_addresses();
  if (own.empty())
    fail(ErrorCode::kUnavailable, "workers span hosts, but this one has no address but loopback (host {})",
         cluster::host_name());
  return own.front();
}

class TcpEngine final : public Engine {
 public:
  explicit TcpEngine(const EngineOptions& options)
      : arena_(options.arena_bytes), rendezvous_(reachable_address(options)) {}

  std::string name() const override { return "gloo"; }
  std::span<std::byte> arena() override { return arena_.span(); }
  void commit(std::size_t offset, std::size_t bytes) override { arena_.commit(offset, bytes); }
  std::string meeting_place() const override { return rendezvous_.place(); }

  std::unique_ptr<Communicator> connect(const EpochView& epoch) override {
    TcpMeeting meeting{.ballot = epoch.ballot,
                       .token = epoch.token,
                       .rank = epoch.rank,
                       .members = {},
                       .timeout = epoch.timeout,
                       .silence = epoch.silence,
                       .stop = epoch.stop,
                       .on_unreachable = epoch.on_unreachable};
    for (const cluster::Member& member : epoch.members)
      meeting.members.push_back({.place = member.meeting_place,
                                 .who = fmt::format("pid {} on {}", member.pid, member.host),
                                 .uuid = member.uuid});
    std::vector<TcpPeer> peers = rendezvous_.meet(meeting);
    return std::make_unique<TcpCommunicator>(meeting, std::move(peers));
  }

 private:
  Pages arena_;
  TcpRendezvous rendezvous_;
};

}  // namespace

std::unique_ptr<Engine> make_tcp_engine(const EngineOptions& options) { return std::make_unique<TcpEngine>(options); }

}  // namespace convoy::distributed
