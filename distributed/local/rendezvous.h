// Where the workers of one host find each other: each listens on an abstract Unix socket from before it registers with
// the scheduler; once the scheduler has announced an epoch, all meet pairwise, check who the other is and exchange
// their segments. The sockets stay open: their hang-up tells a peer's death.
#pragma once

#include <sched.h>

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "core/base/ballot.h"
#include "core/base/unique_fd.h"
#include "core/base/uuid.h"

namespace convoy::distributed {

struct LocalMember {
  std::string socket;  // the name of its Rendezvous
  Uuid uuid;
};

// What a worker tells one peer about itself.
struct Greeting {
  std::uint32_t sequence = 0;  // the counters of its segment at this moment
  std::uint32_t sent = 0;
  std::uint32_t received = 0;
  cpu_set_t cores{};  // where it may run
};

// A peer that was met.
struct LocalPeer {
  std::int32_t rank = 0;
  std::int32_t pid = 0;
  UniqueFd socket;
  UniqueFd segment;
  Greeting greeting;
};

struct Meeting {
  Ballot ballot;
  std::string token;  // of the run, at most 64 characters
  std::int32_t rank = 0;
  std::vector<LocalMember> members;  // in rank order, this worker among them
  std::vector<Greeting> greetings;   // for each rank
  int segment = -1;                  // descriptor
  std::chrono::milliseconds timeout{};
  std::stop_token stop;
};

class Rendezvous {
 public:
  // Listens on "convoy-<uuid>". Throws Error(kUnavailable).
  explicit Rendezvous(const Uuid& uuid);
  const std::string& name() const { return name_; }

  // Meets all other members; the peers in rank order. Throws PeerLost that names the rank and socket that is missing or
  // refused, Error(kInterrupted) when asked to stop.
  std::vector<LocalPeer> meet(const Meeting& meeting);

 private:
  std::string name_;
  UniqueFd listener_;
  // Accepted, nothing heard yet. Who is too late for one meeting may be early for the next, so they outlive a meeting.
  std::vector<UniqueFd> guests_;
};

}  // namespace convoy::distributed
