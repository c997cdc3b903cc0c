#include "cluster/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>

#include "core/base/error.h"

namespace convoy::cluster {
namespace {

void add_address(const sockaddr* address, std::vector<std::string>& addresses) {
  if (address == nullptr || address->sa_family != AF_INET) return;
  const in_addr& ip = reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
  if ((ntohl(ip.s_addr) >> 24) == 127) return;
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &ip, text, sizeof text);
  if (std::find(addresses.begin(), addresses.end(), text) == addresses.end()) addresses.emplace_back(text);
}

std::optional<sockaddr_in> socket_address(const std::string& address) {
  const HostPort where = split_address(address);
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(where.port);
  if (inet_pton(AF_INET, where.host.c_str(), &result.sin_addr) == 1) return result;
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(where.host.c_str(), nullptr, &hints, &found) != 0) return std::nullopt;
  result.sin_addr = reinterpret_cast<const sockaddr_in*>(found->ai_addr)->sin_addr;
  freeaddrinfo(found);
  return result;
}

const sockaddr* plain(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

}  // namespace

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

std::vector<std::string> own_addresses() {
  std::vector<std::string> interfaces;
  if (ifaddrs* list = nullptr; getifaddrs(&list) == 0) {
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
      if ((entry->ifa_flags & IFF_UP) != 0) add_address(entry->ifa_addr, interfaces);
    }
    freeifaddrs(list);
  }
  std::vector<std::string> named;
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  if (addrinfo* found = nullptr; getaddrinfo(host_name().c_str(), nullptr, &hints, &found) == 0) {
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) add_address(entry->ai_addr, named);
    freeaddrinfo(found);
  }
  // A name may stand for an address that this host does not have (any more).
  std::erase_if(named, [&](const std::string& address) {
    return std::find(interfaces.begin(), interfaces.end(), address) == interfaces.end();
  });
  for (const std::string& address : interfaces) {
    if (std::find(named.begin(), named.end(), address) == named.end()) named.push_back(address);
  }
  return named;
}

HostPort split_address(const std::string& address) {
  constexpr std::string_view kScheme = "tcp://";
  const std::size_t colon = address.rfind(':');
  HostPort result;
  if (address.starts_with(kScheme) && colon != std::string::npos && colon > kScheme.size()) {
    result.host = address.substr(kScheme.size(), colon - kScheme.size());
    const char* const last = address.data() + address.size();
    const auto [end, error] = std::from_chars(address.data() + colon + 1, last, result.port);
    if (error == std::errc() && end == last) return result;
  }
  fail(ErrorCode::kInvalidArgument, "'{}' is not an address like tcp://10.0.0.1:4321", address);
}

UniqueFd listen_at(const std::string& address) {
  const std::optional<sockaddr_in> at = socket_address(address);
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!at || !socket || bind(socket.get(), plain(*at), sizeof *at) != 0 || listen(socket.get(), SOMAXCONN) != 0)
    fail(ErrorCode::kUnavailable, "cannot listen on {}: {}", address, at ? errno_text(errno) : "no IPv4 address");
  return socket;
}

std::string bound_address(int socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
  return fmt::format("tcp://{}:{}", text, ntohs(address.sin_port));
}

bool is_loopback(const std::string& address) {
  const std::string host = split_address(address).host;
  return host == "localhost" || host.starts_with("127.");
}

UniqueFd connect_to(const std::string& address, std::chrono::milliseconds timeout) {
  const std::optional<sockaddr_in> to = socket_address(address);
  const auto failed = [](int error) {
    errno = error;
    return UniqueFd();
  };
  if (!to) return failed(EADDRNOTAVAIL);
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return {};
  if (connect(socket.get(), plain(*to), sizeof *to) == 0) return socket;
  if (errno != EINPROGRESS) return failed(errno);
  pollfd writable{.fd = socket.get(), .events = POLLOUT, .revents = 0};
  if (poll(&writable, 1, static_cast<int>(timeout.count())) != 1) return failed(ETIMEDOUT);
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? std::move(socket) : failed(error);
}

bool accepts_connections(const std::string& address, std::chrono::milliseconds timeout) {
  return static_cast<bool>(connect_to(address, timeout));
}

}  // namespace convoy::cluster
