#include "cluster/link.h"

#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "cluster/curve.h"
#include "cluster/socket.h"
#include "core/base/error.h"

namespace convoy::cluster {

namespace {

constexpr char kMonitorAddress[] = "inproc://monitor";
constexpr int kMonitoredEvents = ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;

// Why the link is lost, from what the monitor reported.
std::string_view meaning(std::uint16_t event) {
  switch (event) {
    case ZMQ_EVENT_CONNECT_RETRIED:
      return "nobody listens there";
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      return "it refused the run's token";
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
      return "it does not speak for this run (the handshake failed)";
    default:
      return "it closed the connection";
  }
}

}  // namespace

// ZeroMQ sockets belong to one thread: the I/O thread owns them, everybody else puts bytes into `outgoing` and takes
// bytes from `incoming`.
struct Link::Impl {
  Impl(const Credentials& credentials, const Uuid& self_uuid)
      : self(self_uuid),
        address(credentials.address),
        dealer(context, zmq::socket_type::dealer),
        monitor(context, zmq::socket_type::pair) {
    const KeyPair keys = key_pair_of_token(credentials.token);
    set_transport_options(dealer, address);
    dealer.set(zmq::sockopt::routing_id, routing_id(self));
    dealer.set(zmq::sockopt::curve_serverkey, credentials.public_key);
    dealer.set(zmq::sockopt::curve_publickey, keys.public_key);
    dealer.set(zmq::sockopt::curve_secretkey, keys.secret_key);
    // A lost connection is final, so that its owner learns of it: what was said to a hub that died must be said
    // again. (Not -1: that would throw away messages that arrived just before the end.)
    dealer.set(zmq::sockopt::reconnect_ivl, 3'600'000);
    if (zmq_socket_monitor(dealer.handle(), kMonitorAddress, kMonitoredEvents) != 0) throw zmq::error_t();
    monitor.connect(kMonitorAddress);
    dealer.connect(address);
    thread = std::thread([this] { run(); });
  }

  void run() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are for the program's own threads
    try {
      exchange();
    } catch (const zmq::error_t& error) {
      lose(error.what());
    }
    try {
      dealer.set(zmq::sockopt::linger, is_lost() ? 0 : linger_ms.load());
      zmq_socket_monitor(dealer.handle(), nullptr, 0);
    } catch (const zmq::error_t&) {  // the socket keeps its linger of 0
    }
    monitor.close();
    dealer.close();
  }

  // Moves messages in both directions until close().
  void exchange() {
    zmq::pollitem_t items[] = {{dealer.handle(), 0, ZMQ_POLLIN, 0},
                               {monitor.handle(), 0, ZMQ_POLLIN, 0},
                               {nullptr, outgoing_wake.descriptor(), ZMQ_POLLIN, 0}};
    for (;;) {
      uninterrupted([&] { return zmq::poll(items, 3, std::chrono::milliseconds(-1)); });
      outgoing_wake.clear();
      const bool last = closing;  // read before the queue: what was queued before close() goes out
      send_queued();
      const auto event = read_monitor();
      receive_all();  // what came before the connection's end counts
      if (event) lose(meaning(*event));
      if (last) return;
    }
  }

  void send_queued() {
    std::deque<std::string> batch;
    {
      const std::lock_guard lock(mutex);
      batch.swap(outgoing);
    }
    for (const std::string& bytes : batch) {
      uninterrupted([&] { return dealer.send(zmq::buffer(bytes), zmq::send_flags::dontwait); });
    }
  }

  void receive_all() {
    zmq::message_t bytes;
    while (uninterrupted([&] { return dealer.recv(bytes, zmq::recv_flags::dontwait); })) {
      const std::lock_guard lock(mutex);
      incoming.push_back(bytes.to_string());
      incoming_wake.signal();
    }
  }

  // The event that ended the connection, if there is one.
  std::optional<std::uint16_t> read_monitor() {
    std::optional<std::uint16_t> event;
    zmq::message_t frame;
    // Number and value; the address follows as a second frame.
    while (uninterrupted([&] { return monitor.recv(frame, zmq::recv_flags::dontwait); })) {
      if (frame.more() && frame.size() >= sizeof(std::uint16_t)) {
        std::uint16_t number = 0;
        std::memcpy(&number, frame.data(), sizeof number);
        if (!event) event = number;
      }
    }
    return event;
  }

  void lose(std::string_view reason) {
    const std::lock_guard lock(mutex);
    if (!lost) lost = fmt::format("lost the scheduler at {}: {}", address, reason);
    incoming_wake.signal();
  }

  bool is_lost() {
    const std::lock_guard lock(mutex);
    return lost.has_value();
  }

  const Uuid self;
  const std::string address;
  zmq::context_t context;
  zmq::socket_t dealer;
  zmq::socket_t monitor;

  WakeUp outgoing_wake;
  WakeUp incoming_wake;  // readable while `incoming` has something or the link is lost
  std::atomic<bool> closing = false;
  std::atomic<int> linger_ms = 0;

  std::mutex mutex;  // guards the rest
  std::deque<std::string> outgoing;
  std::deque<std::string> incoming;
  std::optional<std::string> lost;

  std::thread thread;
};

Link::Link(const Credentials& credentials, const Uuid& self) {
  try {
    impl_ = std::make_unique<Impl>(credentials, self);
  } catch (const zmq::error_t& error) {
    fail(ErrorCode::kUnavailable, "cannot connect to the scheduler at {}: {}", credentials.address, error.what());
  }
}

Link::~Link() { close(std::chrono::milliseconds(0)); }

void Link::send(const Ballot& ballot, Body body) {
  std::string bytes = encode({.ballot = ballot, .sender = impl_->self, .body = std::move(body)});
  const std::lock_guard lock(impl_->mutex);
  if (impl_->closing || impl_->lost) return;
  impl_->outgoing.push_back(std::move(bytes));
  impl_->outgoing_wake.signal();
}

std::optional<Message> Link::receive(std::chrono::milliseconds timeout) {
  pollfd readable{.fd = impl_->incoming_wake.descriptor(), .events = POLLIN, .revents = 0};
  ::poll(&readable, 1, static_cast<int>(std::max<std::int64_t>(0, timeout.count())));

  std::string bytes;
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->incoming.empty()) {
      if (impl_->lost) throw Error(ErrorCode::kPeerLost, *impl_->lost);
      impl_->incoming_wake.clear();
      return std::nullopt;
    }
    bytes = std::move(impl_->incoming.front());
    impl_->incoming.pop_front();
    if (impl_->incoming.empty() && !impl_->lost) impl_->incoming_wake.clear();
  }
  return decode(bytes);
}

void Link::close(std::chrono::milliseconds linger) {
  if (!impl_->thread.joinable()) return;
  impl_->linger_ms = static_cast<int>(linger.count());
  {
    const std::lock_guard lock(impl_->mutex);  // a send() under way is queued before or refused after
    impl_->closing = true;
  }
  impl_->outgoing_wake.signal();
  impl_->thread.join();
  impl_->context.close();  // waits for what is queued, for at most `linger`
}

int Link::poll_descriptor() const { return impl_->incoming_wake.descriptor(); }

}  // namespace convoy::cluster
