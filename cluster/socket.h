// What both ends of the control plane set on their ZeroMQ sockets, and an eventfd that wakes a poll.
#pragma once

#include <cerrno>
#include <string>
#include <zmq.hpp>

#include "core/base/uuid.h"

namespace convoy::cluster {

// Dead hosts are noticed within seconds, queues are bounded by what the protocol sends, messages by kMaxMessageBytes.
void set_transport_options(zmq::socket_t& socket, const std::string& address);

// Calls a ZeroMQ function again for as long as signals interrupt it (a process that is stopped and continued).
template <typename Call>
auto uninterrupted(Call call) {
  for (;;) {
    try {
      return call();
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
    }
  }
}

// A link's address at the hub. The leading letter keeps it apart from the ids that start with a zero byte, which
// ZeroMQ keeps for itself.
std::string routing_id(const Uuid& uuid);

// Readable from signal() until clear(). signal() may be called from any thread and from a signal handler.
class WakeUp {
 public:
  WakeUp();  // throws Error(kUnavailable)
  ~WakeUp();
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;

  void signal() noexcept;
  void clear() noexcept;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace convoy::cluster
