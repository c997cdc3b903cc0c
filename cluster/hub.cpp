#include <algorithm>
#include <cstdint>
#include <utility>

#include "cluster/curve.h"
#include "cluster/link.h"
#include "cluster/socket.h"
#include "core/base/error.h"

namespace convoy::cluster {

namespace {

using Clock = std::chrono::steady_clock;

constexpr char kAuthenticatorAddress[] = "inproc://zeromq.zap.01";  // where ZeroMQ asks; fixed by its ZAP protocol
constexpr std::size_t kRawKeyBytes = 32;

std::string raw_key(const std::string& z85) {
  std::uint8_t bytes[kRawKeyBytes];
  if (zmq_z85_decode(bytes, z85.c_str()) == nullptr) fail(ErrorCode::kInternal, "malformed CURVE key");
  return {bytes, bytes + kRawKeyBytes};
}

// All frames of one message, or none when nothing is there.
std::vector<zmq::message_t> receive_frames(zmq::socket_t& socket) {
  std::vector<zmq::message_t> frames;
  do {
    zmq::message_t frame;
    if (!uninterrupted([&] { return socket.recv(frame, zmq::recv_flags::dontwait); })) break;
    frames.push_back(std::move(frame));
  } while (frames.back().more());  // the frames of a message arrive together
  return frames;
}

void send_frame(zmq::socket_t& socket, std::string_view frame, zmq::send_flags flags) {
  uninterrupted([&] { return socket.send(zmq::buffer(frame), flags | zmq::send_flags::dontwait); });
}

}  // namespace

struct Hub::Impl {
  Impl(const std::string& listen, const std::string& token, const Uuid& self_uuid)
      : self(self_uuid),
        authenticator(context, zmq::socket_type::rep),
        router(context, zmq::socket_type::router),
        accepted_key(raw_key(key_pair_of_token(token).public_key)) {
    const KeyPair keys = hub_key_pair_of_token(token);
    authenticator.bind(kAuthenticatorAddress);
    set_transport_options(router, listen);
    router.set(zmq::sockopt::backlog, 4096);
    router.set(zmq::sockopt::router_mandatory, true);
    // Who lost its connection may make another before this end has noticed.
    router.set(zmq::sockopt::router_handover, true);
    router.set(zmq::sockopt::curve_server, true);
    router.set(zmq::sockopt::curve_secretkey, keys.secret_key);
    router.set(zmq::sockopt::zap_domain, "convoy");
    router.bind(listen);
    credentials = {.address = router.get(zmq::sockopt::last_endpoint), .public_key = keys.public_key, .token = token};
  }

  // Answers one question of ZeroMQ's: may the peer with this key connect?
  void authenticate() {
    const auto request = receive_frames(authenticator);
    if (request.empty()) return;
    // version, request id, domain, address, identity, mechanism, key
    const bool known =
        request.size() == 7 && request[5].to_string_view() == "CURVE" && request[6].to_string_view() == accepted_key;
    const std::string id = request.size() > 1 ? request[1].to_string() : "";
    const std::string_view reply[] = {"1.0", id, known ? "200" : "400", known ? "OK" : "unknown key", "", ""};
    for (std::size_t i = 0; i < std::size(reply); ++i) {
      send_frame(authenticator, reply[i], i + 1 < std::size(reply) ? zmq::send_flags::sndmore : zmq::send_flags::none);
    }
  }

  // It knows the token and speaks another language: what it hears, though it cannot read it, names both schemas.
  void answer_another_build(std::string_view id) {
    const std::string bytes = encode(
        {.ballot = {}, .sender = self, .body = Refuse{.reason = "this program is another build than the run's"}});
    try {
      send_frame(router, id, zmq::send_flags::sndmore);
      send_frame(router, bytes, zmq::send_flags::none);
    } catch (const zmq::error_t&) {  // it is gone
    }
  }

  // The next well-formed message whose sender is who sent it.
  std::optional<Message> take() {
    for (;;) {
      const auto frames = receive_frames(router);
      if (frames.empty()) return std::nullopt;
      try {
        if (frames.size() == 2) {
          Message message = decode(frames[1].to_string_view());
          if (frames[0].to_string_view() == routing_id(message.sender)) return message;
        }
      } catch (const Error&) {  // dropped: one broken peer must not stop a run
        answer_another_build(frames[0].to_string_view());
      }
      ++dropped;
    }
  }

  const Uuid self;
  zmq::context_t context;
  zmq::socket_t authenticator;
  zmq::socket_t router;
  WakeUp wake;
  const std::string accepted_key;
  Credentials credentials;
  std::int64_t dropped = 0;
};

Hub::Hub(const std::string& listen, const std::string& token, const Uuid& self) {
  try {
    impl_ = std::make_unique<Impl>(listen, token, self);
  } catch (const zmq::error_t& error) {
    fail(ErrorCode::kUnavailable, "cannot listen on {}: {}", listen, error.what());
  }
}

Hub::~Hub() = default;

const Credentials& Hub::credentials() const { return impl_->credentials; }

std::int64_t Hub::dropped() const { return impl_->dropped; }

std::optional<Message> Hub::receive(std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  zmq::pollitem_t items[] = {{impl_->router.handle(), 0, ZMQ_POLLIN, 0},
                             {impl_->authenticator.handle(), 0, ZMQ_POLLIN, 0},
                             {nullptr, impl_->wake.descriptor(), ZMQ_POLLIN, 0}};
  for (;;) {
    impl_->authenticate();  // first, so that a flood of messages keeps nobody out
    if (auto message = impl_->take()) return message;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    const bool ready =
        uninterrupted([&] { return zmq::poll(items, 3, std::max(left, std::chrono::milliseconds(0))); }) > 0;
    if (items[2].revents != 0) {
      impl_->wake.clear();
      return impl_->take();
    }
    if (!ready && Clock::now() >= deadline) return std::nullopt;
  }
}

bool Hub::send(const Uuid& to, const Ballot& ballot, Body body) {
  const std::string bytes = encode({.ballot = ballot, .sender = impl_->self, .body = std::move(body)});
  try {
    send_frame(impl_->router, routing_id(to), zmq::send_flags::sndmore);
    send_frame(impl_->router, bytes, zmq::send_flags::none);
    return true;
  } catch (const zmq::error_t& error) {
    if (error.num() == EHOSTUNREACH) return false;
    fail(ErrorCode::kUnavailable, "cannot send to {}: {}", to.to_string(), error.what());
  }
}

void Hub::wake() noexcept { impl_->wake.signal(); }

void Hub::close(std::chrono::milliseconds linger) {
  if (!impl_->router) return;
  impl_->router.set(zmq::sockopt::linger, static_cast<int>(linger.count()));
  impl_->router.close();
  impl_->authenticator.close();
  impl_->context.close();  // waits for what is queued, for at most `linger`
}

}  // namespace convoy::cluster
