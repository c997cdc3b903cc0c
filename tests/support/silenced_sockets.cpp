#include "tests/support/silenced_sockets.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "core/base/unique_fd.h"

namespace convoy::testing_support {
namespace {

namespace fs = std::filesystem;

std::uint16_t port_of(const std::string& address) {  // "0100007F:C350"
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.find(':') + 1), nullptr, 16));
}

// The TCP sockets of the network that the process is in, by inode.
std::map<std::string, TcpEndpoint> sockets_around(pid_t pid) {
  constexpr const char* kListens = "0A";
  std::map<std::string, TcpEndpoint> sockets;
  std::ifstream table("/proc/" + std::to_string(pid) + "/net/tcp");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string number, local, remote, state, queues, timer, retransmits, user, timeout, inode;
    if (!(fields >> number >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode))
      continue;
    sockets[inode] = {.local = port_of(local), .remote = state == kListens ? std::uint16_t{0} : port_of(remote)};
  }
  return sockets;
}

// The socket of another process, as a descriptor of this one; only for as long as it takes, since it would keep the
// socket open when that process has ended.
UniqueFd borrow(pid_t pid, int descriptor) {
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return {};
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), descriptor, 0)));
}

// None if the descriptor is another socket's by now.
UniqueFd borrow(const TcpEndpoint& endpoint) {
  UniqueFd socket = borrow(endpoint.pid, endpoint.descriptor);
  sockaddr_in bound{};
  socklen_t length = sizeof(bound);
  if (!socket || getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0 ||
      bound.sin_family != AF_INET || ntohs(bound.sin_port) != endpoint.local)
    return {};
  return socket;
}

}  // namespace

std::vector<TcpEndpoint> endpoints_of(pid_t pid) {
  std::vector<TcpEndpoint> found;
  const auto sockets = sockets_around(pid);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error)) {
    const std::string target = fs::read_symlink(entry.path(), error).string();  // "socket:[INODE]"
    if (!target.starts_with("socket:[")) continue;
    const auto socket = sockets.find(target.substr(8, target.size() - 9));
    if (socket == sockets.end()) continue;
    TcpEndpoint endpoint = socket->second;
    endpoint.pid = pid;
    endpoint.descriptor = std::stoi(entry.path().filename().string());
    found.push_back(endpoint);
  }
  return found;
}

std::vector<TcpEndpoint> endpoints_between(pid_t one, pid_t other) {
  std::vector<TcpEndpoint> found;
  const std::vector<TcpEndpoint> theirs = endpoints_of(other);
  for (const TcpEndpoint& ours : endpoints_of(one)) {
    for (const TcpEndpoint& end : theirs) {
      if (ours.listens() || ours.local != end.remote || ours.remote != end.local) continue;
      found.push_back(ours);
      found.push_back(end);
    }
  }
  return found;
}

bool silence(const TcpEndpoint& endpoint) {
  sock_filter nothing{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
  const sock_fprog filter{.len = 1, .filter = &nothing};
  const UniqueFd socket = borrow(endpoint);
  return socket && setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0;
}

bool unsilence(const TcpEndpoint& endpoint) {
  const int unused = 0;
  const UniqueFd socket = borrow(endpoint);
  return socket && setsockopt(socket.get(), SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) == 0;
}

bool can_silence(pid_t pid) {
  // Any descriptor will do, of a process that has standard output.
  return static_cast<bool>(borrow(pid, STDOUT_FILENO));
}

}  // namespace convoy::testing_support
