#include "cluster/handshake.h"

#include <cstring>
#include <optional>

#include "cluster/curve.h"
#include "cluster/socket.h"
#include "core/base/error.h"

namespace convoy::cluster {
namespace {

constexpr char kMonitorAddress[] = "inproc://handshake";
constexpr int kMonitoredEvents = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                                 ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;

// The first event that comes until then: its number, in the first of two frames.
std::optional<std::uint16_t> first_event(zmq::socket_t& monitor, std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  zmq::message_t frame;
  for (auto now = until - limit; now < until; now = std::chrono::steady_clock::now()) {
    zmq::pollitem_t item{monitor.handle(), 0, ZMQ_POLLIN, 0};
    uninterrupted([&] { return zmq::poll(&item, 1, std::chrono::ceil<std::chrono::milliseconds>(until - now)); });
    while (uninterrupted([&] { return monitor.recv(frame, zmq::recv_flags::dontwait); })) {
      std::uint16_t number = 0;
      if (!frame.more() || frame.size() < sizeof number) continue;
      std::memcpy(&number, frame.data(), sizeof number);
      return number;
    }
  }
  return std::nullopt;
}

}  // namespace

Handshake shake_hands(const Credentials& credentials, std::chrono::milliseconds limit) {
  const KeyPair keys = key_pair_of_token(credentials.token);
  try {
    zmq::context_t context;
    zmq::socket_t dealer(context, zmq::socket_type::dealer);
    zmq::socket_t monitor(context, zmq::socket_type::pair);
    set_transport_options(dealer, credentials.address);
    dealer.set(zmq::sockopt::routing_id, routing_id(Uuid::random()));
    dealer.set(zmq::sockopt::curve_serverkey, credentials.public_key);
    dealer.set(zmq::sockopt::curve_publickey, keys.public_key);
    dealer.set(zmq::sockopt::curve_secretkey, keys.secret_key);
    dealer.set(zmq::sockopt::reconnect_ivl, 3'600'000);
    if (zmq_socket_monitor(dealer.handle(), kMonitorAddress, kMonitoredEvents) != 0) throw zmq::error_t();
    monitor.connect(kMonitorAddress);
    dealer.connect(credentials.address);
    const std::optional<std::uint16_t> event = first_event(monitor, limit);
    zmq_socket_monitor(dealer.handle(), nullptr, 0);
    if (!event) return Handshake::kUnanswered;
    return *event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? Handshake::kAccepted : Handshake::kRefused;
  } catch (const zmq::error_t& error) {
    fail(ErrorCode::kUnavailable, "cannot connect to the scheduler at {}: {}", credentials.address, error.what());
  }
}

}  // namespace convoy::cluster
