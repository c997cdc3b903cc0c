#include "distributed/abort_latch.h"

#include <utility>

namespace convoy::distributed {

void AbortLatch::trip(std::string cause, std::vector<LostPeer> lost) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (tripped()) return;
    cause_ = std::move(cause);
    lost_ = std::move(lost);
    word_.store(1);
  }
  wake_own(word_);
}

PeerLost AbortLatch::error() const {
  const std::lock_guard lock(mutex_);
  return {cause_, lost_};
}

}  // namespace convoy::distributed
