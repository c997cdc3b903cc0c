#include "tests/chaos/faults/open_doors.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "core/base/philox.h"

namespace convoy::chaos {
namespace {

namespace fs = std::filesystem;

std::set<std::string> sockets_of(pid_t process) {
  std::set<std::string> inodes;
  std::error_code error;
  for (const auto& descriptor : fs::directory_iterator(fs::path("/proc") / std::to_string(process) / "fd", error)) {
    const std::string target = fs::read_symlink(descriptor.path(), error).string();  // "socket:[INODE]"
    if (target.starts_with("socket:[")) inodes.insert(target.substr(8, target.size() - 9));
  }
  return inodes;
}

void add_ports(const char* table, const std::set<std::string>& inodes, std::vector<std::uint16_t>& ports) {
  constexpr char kListening[] = "0A";
  std::ifstream lines(table);
  std::string line;
  std::getline(lines, line);  // the header
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string number, local, remote, state, skipped, inode;
    fields >> number >> local >> remote >> state;
    for (int i = 0; i < 5; ++i) fields >> skipped;
    if (fields >> inode && state == kListening && inodes.contains(inode))
      ports.push_back(static_cast<std::uint16_t>(std::stoul(local.substr(local.find(':') + 1), nullptr, 16)));
  }
}

void add_local_sockets(const std::set<std::string>& inodes, std::vector<std::string>& names) {
  constexpr char kAccepts[] = "00010000";
  std::ifstream lines("/proc/net/unix");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string number, references, protocol, flags, type, state, inode, name;
    fields >> number >> references >> protocol >> flags >> type >> state >> inode >> name;
    if (flags == kAccepts && inodes.contains(inode) && name.starts_with('@')) names.push_back(name.substr(1));
  }
}

std::string nonsense(std::uint64_t seed, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i)
    text[i] = static_cast<char>(philox({static_cast<std::uint32_t>(i), 0, 0, 0}, mix(seed))[0]);
  return text;
}

std::vector<std::string> speeches(std::uint64_t seed) {
  // As ZeroMQ greets, as a browser asks, and a length that promises more than there is.
  std::string greeting = std::string("\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01", 12) + "CURVE";
  greeting.resize(64, '\0');
  return {"",
          "\n",
          nonsense(seed, 7),
          nonsense(seed + 1, 48),
          nonsense(seed + 2, 100'000),
          greeting + nonsense(seed + 3, 300),
          "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
          std::string(8, '\xff') + nonsense(seed + 4, 1000),
          std::string(64, '\0')};
}

bool say(int socket, const sockaddr* address, socklen_t size, const std::string& speech) {
  const bool open = connect(socket, address, size) == 0;
  if (open && !speech.empty()) {
    const timeval patience{.tv_sec = 0, .tv_usec = 200'000};
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    [[maybe_unused]] const ssize_t sent = send(socket, speech.data(), speech.size(), MSG_NOSIGNAL);
  }
  close(socket);
  return open;
}

}  // namespace

OpenDoors doors_of(const std::vector<pid_t>& processes) {
  std::set<std::string> inodes;
  for (const pid_t process : processes) inodes.merge(sockets_of(process));
  OpenDoors doors;
  add_ports("/proc/net/tcp", inodes, doors.ports);
  add_ports("/proc/net/tcp6", inodes, doors.ports);
  add_local_sockets(inodes, doors.local_sockets);
  return doors;
}

int talk_nonsense(const OpenDoors& doors, std::uint64_t seed) {
  int open = 0;
  for (const std::string& speech : speeches(seed)) {
    for (const std::uint16_t port : doors.ports) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      open += say(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), reinterpret_cast<const sockaddr*>(&address),
                  sizeof address, speech);
    }
    for (const std::string& name : doors.local_sockets) {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      const std::size_t bytes = std::min(name.size(), sizeof address.sun_path - 1);
      std::memcpy(address.sun_path + 1, name.data(), bytes);
      const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + bytes);
      for (const int type : {SOCK_STREAM, SOCK_SEQPACKET})
        open += say(socket(AF_UNIX, type | SOCK_CLOEXEC, 0), reinterpret_cast<const sockaddr*>(&address), size, speech);
    }
  }
  return open;
}

}  // namespace convoy::chaos
