// Notices that a peer died, left or aborted while the worker computes or sleeps, and makes every wait end.
#pragma once

#include <cstdint>
#include <thread>
#include <vector>

#include "core/base/unique_fd.h"
#include "distributed/abort_latch.h"

namespace convoy::distributed {

// Watches the sockets that the rendezvous left open, from a thread of its own.
class PeerMonitor {
 public:
  struct Peer {
    std::int32_t rank = 0;
    std::int32_t pid = 0;
    Uuid uuid;
    UniqueFd socket;
  };

  PeerMonitor(std::vector<Peer> peers, AbortLatch& latch);
  // Tells the peers that this worker leaves, or that it gave up.
  ~PeerMonitor();
  PeerMonitor(const PeerMonitor&) = delete;
  PeerMonitor& operator=(const PeerMonitor&) = delete;

  // Tells all peers that this worker aborts. Any thread.
  void tell_abort() noexcept;

 private:
  void watch();
  void tell(char word) noexcept;

  std::vector<Peer> peers_;
  AbortLatch& latch_;
  UniqueFd stop_;  // an eventfd
  std::thread thread_;
};

}  // namespace convoy::distributed
