// Where workers of any hosts find each other: each listens on a TCP port from before it registers with the scheduler;
// once the scheduler has announced an epoch, all meet pairwise and check who the other is
// (distributed/tcp/handshake.h).
//
// Anybody can connect to that port. Who says nothing, nothing sensible or nothing in time is dropped, and takes nobody
// else's place.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/unique_fd.h"
#include "distributed/tcp/handshake.h"

namespace convoy::distributed {

// A peer that was met.
struct TcpPeer {
  std::int32_t rank = 0;
  std::array<UniqueFd, kTcpChannels> channels;  // by TcpChannel; reading and writing never block
  bool met() const { return channels[0] && channels[1]; }
};

// Somebody who connected and is not known yet.
struct TcpGuest {
  UniqueFd socket;
  std::chrono::steady_clock::time_point since;
  std::size_t got = 0;  // bytes of what is being read: the hello, then the proof
  bool answered = false;
  TcpHello hello;
  TcpAnswer answer;
  Signature proof;
};

class TcpRendezvous {
 public:
  // Listens at `host` ("127.0.0.1") on a port that the system chooses. Throws Error(kUnavailable).
  explicit TcpRendezvous(const std::string& host);
  const std::string& place() const { return place_; }  // "127.0.0.1:41234"

  // Meets all other members; the peers in rank order. Throws PeerLost that names the rank and place that is missing or
  // refused, Error(kInterrupted) when asked to stop. From then on the watched connections notice dead hosts.
  std::vector<TcpPeer> meet(const TcpMeeting& meeting);

 private:
  UniqueFd listener_;
  std::string place_;
  // Who is too late for one meeting may be early for the next, so they outlive a meeting.
  std::vector<TcpGuest> guests_;
};

}  // namespace convoy::distributed
