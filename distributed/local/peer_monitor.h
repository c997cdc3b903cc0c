// Notices that a peer died or aborted while the worker computes or sleeps, and makes every wait end.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/unique_fd.h"
#include "distributed/local/futex.h"

namespace convoy::distributed {

// Trips once, for the first cause, and stays tripped. Any thread.
class AbortLatch {
 public:
  void trip(std::string cause) noexcept;
  bool tripped() const { return word_.load(std::memory_order_acquire) != 0; }
  std::string cause() const;
  // What waiters sleep on beside a peer's word: 0 until tripped.
  const Word& word() const { return word_; }

 private:
  Word word_{0};
  mutable std::mutex mutex_;
  std::string cause_;
};

// Watches the sockets that the rendezvous left open, from a thread of its own.
class PeerMonitor {
 public:
  struct Peer {
    std::int32_t rank = 0;
    std::int32_t pid = 0;
    UniqueFd socket;
  };

  PeerMonitor(std::vector<Peer> peers, AbortLatch& latch);
  ~PeerMonitor();
  PeerMonitor(const PeerMonitor&) = delete;
  PeerMonitor& operator=(const PeerMonitor&) = delete;

  // Tells all peers that this worker aborts. Any thread.
  void tell_abort() noexcept;

 private:
  void watch();

  std::vector<Peer> peers_;
  AbortLatch& latch_;
  UniqueFd stop_;  // an eventfd
  std::thread thread_;
};

}  // namespace convoy::distributed
