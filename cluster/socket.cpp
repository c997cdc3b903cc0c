#include "cluster/socket.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "cluster/messages.h"
#include "core/base/error.h"

namespace convoy::cluster {

void set_transport_options(zmq::socket_t& socket, const std::string& address) {
  socket.set(zmq::sockopt::sndhwm, 0);
  socket.set(zmq::sockopt::rcvhwm, 0);
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(kMaxMessageBytes));
  socket.set(zmq::sockopt::ipv6,
             address.find('[') != std::string::npos);  // else 127.0.0.1 is published as ::ffff:127.0.0.1
  socket.set(zmq::sockopt::tcp_keepalive, 1);
  // A host that is gone, or cut off, is known to be after five seconds.
  socket.set(zmq::sockopt::tcp_keepalive_idle, 1);
  socket.set(zmq::sockopt::tcp_keepalive_intvl, 1);
  socket.set(zmq::sockopt::tcp_keepalive_cnt, 5);
  socket.set(zmq::sockopt::tcp_maxrt, 5'000);  // TCP_USER_TIMEOUT, in ms
  socket.set(zmq::sockopt::linger, 0);
}

std::string routing_id(const Uuid& uuid) {
  std::string id = "U";
  id.append(uuid.bytes.begin(), uuid.bytes.end());
  return id;
}

WakeUp::WakeUp() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (descriptor_ < 0) fail(ErrorCode::kUnavailable, "cannot make an eventfd: {}", errno_text(errno));
}

WakeUp::~WakeUp() { ::close(descriptor_); }

void WakeUp::signal() noexcept {
  const int saved = errno;
  const std::uint64_t one = 1;
  // The only failure is a counter at its maximum, and then the descriptor is readable already.
  [[maybe_unused]] const auto written = ::write(descriptor_, &one, sizeof one);
  errno = saved;
}

void WakeUp::clear() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto read = ::read(descriptor_, &count, sizeof count);
}

}  // namespace convoy::cluster
