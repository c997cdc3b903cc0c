// A connection to one donor, as a fetch uses it: questions go out, pieces come back in the same order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/messages.h"
#include "core/base/ballot.h"
#include "core/base/hash.h"
#include "core/base/unique_fd.h"
#include "core/base/uuid.h"
#include "worker/donor_wire.h"
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
  // Through the donor's Unix socket if it is on this host (and `locally`), else to the first of its addresses at which
  // somebody listens. Throws Error(kPeerLost).
  DonorChannel(const Source& source, const Asker& asker, bool locally);

  void ask(const cluster::Pull& pull);
  // Of a piece whose bytes, as many as were asked for, are in the destination.
  struct Arrival {
    std::int64_t total = 0;  // bytes that there are altogether; or kNeverHere, kNotHereYet: what was written is void
    bool sound = true;       // the bytes are those that the donor read
  };
  // What has arrived as the answer to `pull`, the oldest question; nothing as long as it is not whole. Throws
  // Error(kPeerLost) when the donor is gone, Error(kDataLoss) for an answer to something else.
  std::optional<Arrival> receive(const cluster::Pull& pull, const Destination& destination);
  // Polls readable while receive() has something to do.
  int descriptor() const { return socket_.get(); }

 private:
  bool introduce();
  void send(std::span<const std::byte> bytes);
  bool take(Places& places);
  void check_header(const cluster::Pull& pull, std::int64_t total) const;

  const Asker asker_;
  const DonorHello hello_;
  UniqueFd socket_;
  bool introduced_ = false;
  std::vector<std::byte> unsent_;  // questions, before that
  std::int64_t received_ = 0;      // of the challenge, or an answer
  DonorChallenge challenge_;
  DonorHeader header_;
  DonorVerdict verdict_;
  Xxh3Hasher64 hasher_;
};

}  // namespace convoy::worker
