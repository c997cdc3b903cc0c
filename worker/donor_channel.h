// A connection to one donor, as a fetch uses it: questions go out, pieces come back in the same order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cluster/messages.h"
#include "core/base/ballot.h"
#include "core/base/uuid.h"
#include "worker/pieces.h"

namespace convoy::worker {

// Who serves.
struct Source {
  Uuid uuid;
  cluster::Service service;
};

// Who asks, and under which ballot.
struct Asker {
  Uuid self;
  std::string token;  // of the run
  Ballot ballot;
};

class DonorChannel {
 public:
  // Of a piece whose bytes, as many as were asked for, are in the destination; a negative total: nothing was written.
  struct Arrival {
    std::int64_t total = 0;  // see Piece
    bool sound = true;       // the bytes are those that the donor read
  };

  virtual ~DonorChannel() = default;
  // How many bytes to ask for at once, and how many questions to have on their way.
  virtual std::int64_t piece_bytes() const = 0;
  virtual std::size_t window() const = 0;

  virtual void ask(const cluster::Pull& pull) = 0;
  // What has arrived as the answer to `pull`, the oldest question; nothing as long as it is not whole. Throws
  // Error(kPeerLost) when the donor is gone, Error(kDataLoss) for an answer to something else.
  virtual std::optional<Arrival> receive(const cluster::Pull& pull, const Destination& destination) = 0;
  // Polls readable while receive() has something to do.
  virtual int descriptor() const = 0;
};

// To a donor on this host; null if there is none. Throws Error(kPeerLost).
std::unique_ptr<DonorChannel> connect_locally(const Source& source, const Asker& asker);

// Through the transport of the control plane, to one of the addresses of `source`. Throws Error(kPeerLost).
std::unique_ptr<DonorChannel> connect_by_link(const Source& source, const Asker& asker);

}  // namespace convoy::worker
