// The few calls of TCP that the engine "gloo" is made of. IPv4, as the rest of a run's addresses.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "core/base/unique_fd.h"

namespace convoy::distributed {

// Where a socket is bound: "127.0.0.1:41234".
std::string place_of(int socket);

// Connecting to "10.0.0.7:41234" has begun, or failed already; the socket polls writable when it is decided. Throws
// Error(kInvalidArgument) for a malformed place, Error(kUnavailable) when there are no descriptors.
struct Connecting {
  UniqueFd socket;
  int error = 0;
};
Connecting begin_connect(const std::string& place);
// Once it is decided: 0, or why connecting failed.
int connect_error(int socket);

// An accepted connection, or none if nobody waits.
UniqueFd accept_one(int listener);

// Small messages leave at once.
void send_at_once(int socket);
// A host that is gone, or cut off, breaks the connection after so long (two seconds at least), whether something is
// sent or not. Of a socket that is yet to be connected, too: the first word may take no longer.
void notice_dead_host(int socket, std::chrono::milliseconds silence);
// By how much those whom one cut concerns may differ in when they notice it.
std::chrono::milliseconds spread_of_notices(std::chrono::milliseconds silence);
// As it is without that.
void bear_silence(int socket);
// Whether an error of a connection says that nothing gets through to the host, and not that somebody there ended it.
bool is_silence(int error);

// The address of this host's interface that leads to `address` ("tcp://10.0.0.1:4321"): where its peers reach it.
// Loopback for a loopback address, and for an empty one.
std::string own_address_towards(const std::string& address);

}  // namespace convoy::distributed
