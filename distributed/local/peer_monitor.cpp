#include "distributed/local/peer_monitor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

constexpr char kAbortMessage = 'A';

}  // namespace

void AbortLatch::trip(std::string cause) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (tripped()) return;
    cause_ = std::move(cause);
    word_.store(1);
  }
  wake_own(word_);
}

std::string AbortLatch::cause() const {
  const std::lock_guard lock(mutex_);
  return cause_;
}

PeerMonitor::PeerMonitor(std::vector<Peer> peers, AbortLatch& latch)
    : peers_(std::move(peers)), latch_(latch), stop_(eventfd(0, EFD_CLOEXEC)) {
  if (!stop_) fail(ErrorCode::kUnavailable, "eventfd: {}", errno_text(errno));
  thread_ = std::thread([this] { watch(); });
}

PeerMonitor::~PeerMonitor() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void PeerMonitor::tell_abort() noexcept {
  for (const Peer& peer : peers_) ::send(peer.socket.get(), &kAbortMessage, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void PeerMonitor::watch() {
  std::vector<pollfd> polled{{stop_.get(), POLLIN, 0}};
  for (const Peer& peer : peers_) polled.push_back({peer.socket.get(), POLLIN, 0});
  while (true) {
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    if (polled[0].revents != 0) return;
    for (std::size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      const Peer& peer = peers_[i - 1];
      char message = 0;
      const ssize_t got = recv(peer.socket.get(), &message, 1, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got == 1 && message == kAbortMessage)
        latch_.trip(fmt::format("rank {} (pid {}) aborted", peer.rank, peer.pid));
      else
        latch_.trip(fmt::format("rank {} (pid {}) is gone", peer.rank, peer.pid));
      polled[i].fd = -1;  // heard; poll passes over it
    }
  }
}

}  // namespace convoy::distributed
