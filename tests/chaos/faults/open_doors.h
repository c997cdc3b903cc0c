// Where a run's processes can be spoken to by strangers, and strangers who do.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace convoy::chaos {

struct OpenDoors {
  std::vector<std::uint16_t> ports;        // of TCP, on whatever address
  std::vector<std::string> local_sockets;  // abstract names, without the '@'
};
// What these processes listen at.
OpenDoors doors_of(const std::vector<pid_t>& processes);

// Connects to each of them and says what makes no sense: nothing, a few bytes, many, the beginnings of protocols. How
// many answered the door.
int talk_nonsense(const OpenDoors& doors, std::uint64_t seed);

}  // namespace convoy::chaos
