#include "cluster/reserved_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "cluster/address.h"
#include "core/base/error.h"

namespace convoy::cluster {

ReservedPort::ReservedPort(const std::string& listen) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const HostPort where = split_address(listen);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(where.port);
  if (inet_pton(AF_INET, where.host.c_str(), &name.sin_addr) != 1)
    fail(ErrorCode::kInvalidArgument, "'{}' is not an address like tcp://10.0.0.1:4321", listen);
  // ZeroMQ sets the same for what it binds: of sockets that do so any number may be bound, as long as one listens.
  const int yes = 1;
  socklen_t size = sizeof name;
  auto* const address = reinterpret_cast<sockaddr*>(&name);
  if (!socket_ || setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(socket_.get(), address, sizeof name) != 0 || getsockname(socket_.get(), address, &size) != 0) {
    fail(ErrorCode::kUnavailable, "cannot listen on {}: {}", listen, errno_text(errno));
  }
  address_ = fmt::format("tcp://{}:{}", where.host, ntohs(name.sin_port));
}

}  // namespace convoy::cluster
