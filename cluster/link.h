// The control plane's two ends: a Hub that the scheduler binds, and a Link that each worker and agent connects.
// ZeroMQ with CURVE underneath: both ends authenticate each other with keys derived from nothing but the hub's public
// key and the run's token, so who does not know the token gets no further than the handshake.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "cluster/messages.h"

namespace convoy::cluster {

// What somebody needs in order to join a run's control plane. Secret: never on a command line, never in a log.
struct Credentials {
  std::string address;     // "tcp://127.0.0.1:41234"
  std::string public_key;  // the hub's CURVE key, 40 characters of Z85
  std::string token;       // the run's token, hex
};

// Connects to a hub. send() may be called from any thread; receive() from one thread at a time.
class Link {
 public:
  Link(const Credentials& credentials, const Uuid& self);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Queues the message and returns at once. After close() it does nothing.
  void send(const Ballot& ballot, Body body);
  // The next message, or nothing when `timeout` passes first. Throws Error(kPeerLost) once the hub's host said that
  // nobody listens any more or the handshake was refused; a hub that is merely slow is waited for.
  std::optional<Message> receive(std::chrono::milliseconds timeout);
  // Flushes what was queued (for at most `linger`) and disconnects.
  void close(std::chrono::milliseconds linger);
  // A descriptor that polls readable when receive() may have something (edge-triggered: then call receive(0) until
  // it returns nothing).
  int poll_descriptor() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Accepts links. Single-threaded.
class Hub {
 public:
  // Binds `listen` ("tcp://127.0.0.1:0": port 0 picks a free one). Throws Error(kUnavailable) with address and errno.
  Hub(const std::string& listen, const std::string& token, const Uuid& self);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  const Credentials& credentials() const;  // with the port that was bound
  std::optional<Message> receive(std::chrono::milliseconds timeout);
  // Sends to the link whose UUID is `to`; false if it is not connected.
  bool send(const Uuid& to, const Ballot& ballot, Body body);
  void close(std::chrono::milliseconds linger);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace convoy::cluster
