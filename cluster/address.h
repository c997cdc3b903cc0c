// Where this host is reached, and whether another one is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/unique_fd.h"

namespace convoy::cluster {

std::string host_name();

// The IPv4 addresses at which other hosts may reach this one: first what its name stands for, then those of its network
// interfaces, each once. Loopback is never among them.
std::vector<std::string> own_addresses();

// "tcp://10.0.0.1:4321" → its two parts. Throws Error(kInvalidArgument).
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
HostPort split_address(const std::string& address);

// Whether only this host reaches `address`, which need not be split: "tcp://127.0.0.1:4321".
bool is_loopback(const std::string& address);

// Listens at `address` (IPv4; port 0: a free one). Accepting never blocks. Throws Error(kUnavailable).
UniqueFd listen_at(const std::string& address);
// The address at which a socket is bound: "tcp://127.0.0.1:41234".
std::string bound_address(int socket);

// A connection to `address` (IPv4, or a name that stands for one) whose reads and writes do not block; none, and why in
// errno, if nobody accepts it within `timeout`.
UniqueFd connect_to(const std::string& address, std::chrono::milliseconds timeout);
bool accepts_connections(const std::string& address, std::chrono::milliseconds timeout);

}  // namespace convoy::cluster
