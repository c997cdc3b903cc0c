// The control plane's two ends: a Hub that the scheduler binds, and a Link that each worker and agent connects.
// ZeroMQ with CURVE underneath: a link knows the hub by its public key, the hub knows a link by its own (curve.h); both
// follow from the run's token. The token never travels, and who does not know it gets no further than the handshake.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cluster/messages.h"

namespace convoy::cluster {

// What somebody needs in order to join a run's control plane. Secret: never on a command line, never in a log.
struct Credentials {
  std::string address;     // "tcp://127.0.0.1:41234"
  std::string public_key;  // the hub's CURVE key, 40 characters of Z85
  std::string token;       // the run's token: 64 hex digits
};

// A token for a new run.
std::string make_token();

// Connects to a hub. send() may be called from any thread; receive() from one thread at a time. A link that is lost
// stays so; making another one for the same credentials costs about a millisecond, and reaches a hub that was started
// anew at the same address.
class Link {
 public:
  // Returns at once and connects in the background. Throws Error(kInvalidArgument) for a malformed token,
  // Error(kUnavailable) for an address or key that cannot be used.
  Link(const Credentials& credentials, const Uuid& self);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Queues the message and returns at once. After close() it does nothing.
  void send(const Ballot& ballot, Body body);
  // The next message, or nothing when `timeout` passes first. Throws Error(kPeerLost) once everything that arrived was
  // returned and the hub closed the connection, refused the handshake, or nobody listens at its address; a hub that is
  // merely slow is waited for. Throws Error(kDataLoss) for a message of another build.
  std::optional<Message> receive(std::chrono::milliseconds timeout);
  // Sends what was queued (for at most `linger`) and disconnects. Not together with receive().
  void close(std::chrono::milliseconds linger);
  // A descriptor that polls readable while receive() has something to return or to throw.
  int poll_descriptor() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Accepts links. Single-threaded, but for wake(). Links are let in, or turned away, while receive() is called.
class Hub {
 public:
  // Binds `listen` ("tcp://127.0.0.1:0": port 0 picks a free one); its key follows from the token. Throws
  // Error(kUnavailable) with address and errno.
  Hub(const std::string& listen, const std::string& token, const Uuid& self);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  const Credentials& credentials() const;  // with the port that was bound
  // The next message, or nothing when `timeout` passes or wake() is called first. What is malformed, of another build
  // or not from the link that its sender names is dropped and counted.
  std::optional<Message> receive(std::chrono::milliseconds timeout);
  std::int64_t dropped() const;
  // Sends to the link whose UUID is `to`; false if it is not connected (a closed connection stays closed).
  bool send(const Uuid& to, const Ballot& ballot, Body body);
  // Makes the receive() under way, or the next one, return early. From any thread or a signal handler.
  void wake() noexcept;
  // Sends what was queued (for at most `linger`) and closes every connection. The hub is of no use afterwards.
  void close(std::chrono::milliseconds linger);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace convoy::cluster
