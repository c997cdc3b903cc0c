// A network that loses every packet, without privileges: a filter drops what arrives at a socket before TCP sees it.
// Both ends hear nothing any more, not even that the other one is gone: no end, no reset, no answer.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace convoy::testing_support {

// One end of a TCP connection over IPv4, or a listening socket (no remote port).
struct TcpEndpoint {
  pid_t pid = 0;
  int descriptor = -1;
  std::uint16_t local = 0;  // ports
  std::uint16_t remote = 0;
  bool listens() const { return remote == 0; }
  bool operator==(const TcpEndpoint&) const = default;
};
std::vector<TcpEndpoint> endpoints_of(pid_t pid);

// Those ends, of either process, of what connects the two.
std::vector<TcpEndpoint> endpoints_between(pid_t one, pid_t other);

// From now on nothing arrives at it, or again what does. False if it is gone.
bool silence(const TcpEndpoint& endpoint);
bool unsilence(const TcpEndpoint& endpoint);
// Whether this process may do so to a child: some systems let nobody touch another process's descriptors.
bool can_silence(pid_t pid);

}  // namespace convoy::testing_support
