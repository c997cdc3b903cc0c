#include "distributed/local/peer_monitor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

// What is said before a connection ends.
constexpr char kAborts = 'A';
constexpr char kLeaves = 'L';

}  // namespace

PeerMonitor::PeerMonitor(std::vector<Peer> peers, AbortLatch& latch)
    : peers_(std::move(peers)), latch_(latch), stop_(eventfd(0, EFD_CLOEXEC)) {
  if (!stop_) fail(ErrorCode::kUnavailable, "eventfd: {}", errno_text(errno));
  thread_ = std::thread([this] { watch(); });
}

PeerMonitor::~PeerMonitor() {
  tell(latch_.tripped() ? kAborts : kLeaves);
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void PeerMonitor::tell_abort() noexcept { tell(kAborts); }

void PeerMonitor::tell(char word) noexcept {
  for (const Peer& peer : peers_) ::send(peer.socket.get(), &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// Who aborts mostly does so because of somebody else, so those who are gone are named first.
void PeerMonitor::watch() {
  std::vector<pollfd> polled{{stop_.get(), POLLIN, 0}};
  for (const Peer& peer : peers_) polled.push_back({peer.socket.get(), POLLIN, 0});
  while (true) {
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    if (polled[0].revents != 0) return;
    std::vector<std::string> gone;
    std::vector<std::string> others;
    std::vector<LostPeer> lost;
    for (std::size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      const Peer& peer = peers_[i - 1];
      const std::string who = fmt::format("rank {} (pid {})", peer.rank, peer.pid);
      char word = 0;
      const ssize_t got = recv(peer.socket.get(), &word, 1, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got == 1) {
        others.push_back(who + (word == kAborts ? " aborted" : " has left"));
      } else {
        gone.push_back(who + " is gone");
        lost.push_back({.uuid = peer.uuid, .how = LostPeer::How::kEnded});
      }
      polled[i].fd = -1;  // heard; poll passes over it
    }
    const std::vector<std::string>& cause = gone.empty() ? others : gone;
    if (!cause.empty()) latch_.trip(fmt::format("{}", fmt::join(cause, ", ")), std::move(lost));
  }
}

}  // namespace convoy::distributed
