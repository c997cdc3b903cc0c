#include "distributed/tcp/tcp_watch.h"

#include <sys/socket.h>

#include <cerrno>

#include "distributed/tcp/tcp_socket.h"

namespace convoy::distributed {
namespace {

constexpr char kLeaves = 'L';
constexpr char kAborts = 'A';

void say(int watch, char word) noexcept { ::send(watch, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT); }

}  // namespace

void say_leaving(int watch) noexcept { say(watch, kLeaves); }
void say_aborting(int watch) noexcept { say(watch, kAborts); }

TcpEnd hear_end(int watch) noexcept {
  char word = 0;
  const ssize_t got = recv(watch, &word, 1, MSG_DONTWAIT);
  if (got == 1) return word == kAborts ? TcpEnd::kAborted : TcpEnd::kLeft;
  if (got == 0) return TcpEnd::kGone;
  if (errno == EAGAIN || errno == EINTR) return TcpEnd::kNone;
  return is_silence(errno) ? TcpEnd::kUnreachable : TcpEnd::kGone;
}

}  // namespace convoy::distributed
