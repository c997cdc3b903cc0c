// Where this host is reached, and whether another one is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

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

// Whether somebody accepts connections at `address` (IPv4) within `timeout`.
bool accepts_connections(const std::string& address, std::chrono::milliseconds timeout);

}  // namespace convoy::cluster
