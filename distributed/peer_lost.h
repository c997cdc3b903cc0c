// What an Error(kPeerLost) knows of the workers that were lost, beside its words.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/uuid.h"

namespace convoy::distributed {

// A peer with which communication failed.
struct LostPeer {
  enum class How : std::uint8_t {
    kEnded,       // its connection closed without a word: mostly because its process died
    kMissing,     // it was not met in time, though nothing says that it cannot be
    kUnreachable  // nothing gets through to it, or it cannot be met where it says: at another time neither, mostly
  };
  Uuid uuid;
  How how{};
  bool operator==(const LostPeer&) const = default;
};

// Thrown instead of a plain Error(kPeerLost) wherever it is known who was lost. A peer that aborted, left or is in
// another epoch is not: it lives and can be met again. So is nobody where this worker aborted.
class PeerLost final : public Error {
 public:
  PeerLost(const std::string& message, std::vector<LostPeer> peers)
      : Error(ErrorCode::kPeerLost, message), peers_(std::move(peers)) {}
  const std::vector<LostPeer>& peers() const { return peers_; }

 private:
  std::vector<LostPeer> peers_;
};

}  // namespace convoy::distributed
