#include "distributed/tcp/tcp_socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cluster/address.h"
#include "core/base/error.h"

namespace convoy::distributed {
namespace {

constexpr char kLoopback[] = "127.0.0.1";
constexpr std::chrono::milliseconds kLeastSilence{2'000};  // a packet that was lost once is sent again within a second

constexpr std::chrono::milliseconds kTimerSlack{250};  // of the system, whose timers for seconds are coarse

int question_interval_s(std::chrono::milliseconds silence) {
  return std::max(1, static_cast<int>(std::max(silence, kLeastSilence).count() / 5000));
}

UniqueFd new_socket(int type) {
  UniqueFd socket(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) fail(ErrorCode::kUnavailable, "a TCP socket: {}", errno_text(errno));
  return socket;
}

sockaddr_in socket_address(const std::string& host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
    fail(ErrorCode::kInvalidArgument, "'{}' is not an IPv4 address", host);
  return address;
}

const sockaddr* plain(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

void set_option(int socket, int level, int option, int value) {
  setsockopt(socket, level, option, &value, sizeof(value));
}

}  // namespace

std::string place_of(int socket) {
  const cluster::HostPort bound = cluster::split_address(cluster::bound_address(socket));
  return fmt::format("{}:{}", bound.host, bound.port);
}

Connecting begin_connect(const std::string& place) {
  const cluster::HostPort to = cluster::split_address("tcp://" + place);
  const sockaddr_in address = socket_address(to.host, to.port);
  UniqueFd socket = new_socket(SOCK_STREAM);
  send_at_once(socket.get());
  const bool begun = connect(socket.get(), plain(address), sizeof(address)) == 0 || errno == EINPROGRESS;
  return {std::move(socket), begun ? 0 : errno};
}

int connect_error(int socket) {
  int error = 0;
  socklen_t length = sizeof(error);
  return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

UniqueFd accept_one(int listener) {
  UniqueFd socket(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket) send_at_once(socket.get());
  return socket;
}

void send_at_once(int socket) { set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1); }

// Questions are sent a fifth of the time apart. Where TCP_USER_TIMEOUT is set it, and not their number, is what ends
// the connection: a fifth before the time is over, which is left for others to notice the same.
void notice_dead_host(int socket, std::chrono::milliseconds silence) {
  const int interval = question_interval_s(silence);
  const auto limit = static_cast<int>(std::max(silence, kLeastSilence).count());
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, interval);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, interval);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, std::max(limit - 1000 * interval, 2000 * interval));
}

// Of two connections that nothing came over any more at the same moment, one was asked last just before, and the other
// one was about to be.
std::chrono::milliseconds spread_of_notices(std::chrono::milliseconds silence) {
  return std::chrono::seconds(question_interval_s(silence)) + kTimerSlack;
}

void bear_silence(int socket) {
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 0);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
}

bool is_silence(int error) {
  return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN || error == ENETDOWN;
}

std::string own_address_towards(const std::string& address) {
  if (address.empty()) return kLoopback;
  const cluster::HostPort where = cluster::split_address(address);
  // Nothing is sent: the system only looks up its routes.
  const UniqueFd socket = new_socket(SOCK_DGRAM);
  const sockaddr_in to = socket_address(where.host, where.port);
  if (connect(socket.get(), plain(to), sizeof(to)) != 0)
    fail(ErrorCode::kUnavailable, "no way from this host to the scheduler at {}: {}", address, errno_text(errno));
  return cluster::split_address(cluster::bound_address(socket.get())).host;
}

}  // namespace convoy::distributed
