// The end of a communicator: what waiting calls look at, and every later call fails with.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "distributed/local/futex.h"
#include "distributed/peer_lost.h"

namespace convoy::distributed {

// Trips once, for the first cause, and stays tripped. Any thread.
class AbortLatch {
 public:
  // `lost`: the peers that are to blame, where it is they.
  void trip(std::string cause, std::vector<LostPeer> lost = {}) noexcept;
  bool tripped() const { return word_.load(std::memory_order_acquire) != 0; }
  // Why, with the peers. Only of one that has tripped.
  PeerLost error() const;
  // What waiters sleep on beside a peer's word: 0 until tripped.
  const Word& word() const { return word_; }

 private:
  Word word_{0};
  mutable std::mutex mutex_;
  std::string cause_;
  std::vector<LostPeer> lost_;
};

}  // namespace convoy::distributed
