// A connection to one donor, as a fetch uses it: questions go out, pieces come back in the same order.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cluster/messages.h"
#include "core/base/ballot.h"
#include "core/base/hash.h"
#include "core/base/unique_fd.h"
#include "core/base/uuid.h"
#include "worker/donor_wire.h"
#include "worker/pieces.h"
#include "worker/pull.h"

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

// How bytes may come: each way is quicker than the next.
enum class Way : std::uint8_t {
  kMemory,  // from the donor's memory, if it is on this host and the system permits it
  kSocket,  // through its Unix socket, if it is on this host
  kNetwork
};

class DonorChannel {
 public:
  // Connects in the quickest way, from `way` on, that is open; by network to the first of the donor's addresses at
  // which somebody listens. Throws Error(kPeerLost).
  DonorChannel(const Source& source, const Asker& asker, Way way);

  // Whether each side has proved to the other that it is of the run. Nothing is to be asked before.
  bool is_open();
  // How many bytes to ask for at once, and how many questions to have on their way.
  std::int64_t piece_bytes() const;
  std::size_t window() const;

  void ask(const Pull& pull);
  // Of a piece whose bytes, as many as were asked for, are in the destination.
  struct Arrival {
    std::int64_t total = 0;  // bytes that there are altogether; or kNeverHere, kNotHereYet: what was written is void
    bool sound = true;       // the bytes are those that the donor read
  };
  // What has arrived as the answer to `pull`, the oldest question; nothing as long as it is not whole. Throws
  // Error(kPeerLost) when the donor is gone, Error(kDataLoss) for an answer to something else.
  std::optional<Arrival> receive(const Pull& pull, const Destination& destination);

  // Polls readable while is_open() or receive() has something to do.
  int descriptor() const { return socket_.get(); }

 private:
  void ask(const Pull& pull, bool where);
  bool donor_is_readable() const;
  std::optional<Arrival> receive_bytes(const Pull& pull, const Destination& destination);
  std::optional<Arrival> read_directly(const Pull& pull, const Destination& destination);
  bool read_memory(const Pull& pull, const Destination& destination) const;
  bool receive_header(const Pull& pull, std::int64_t total);
  template <class AddPayload>
  bool receive_rest(std::int64_t payload_bytes, AddPayload add_payload);
  void send(std::span<const std::byte> bytes);
  bool take(Places& places);

  const Asker asker_;
  const DonorHello hello_;
  Way way_;
  UniqueFd socket_;
  std::int32_t pid_ = 0;  // of the donor, if it is on this host
  bool open_ = false;
  std::int64_t received_ = 0;  // of the challenge, or of an answer
  DonorChallenge challenge_;
  DonorHeader header_;
  DonorVerdict verdict_;
  Xxh3Hasher64 hasher_;
  // Where the bytes lie that are read directly; then a verdict is awaited.
  std::vector<DonorPlace> places_;
  bool was_read_ = false;
  bool awaits_verdict_ = false;
};

}  // namespace convoy::worker
