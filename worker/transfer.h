// How a worker that is behind gets the state, or a reduced gradient, from others (worker/donor.h serves them).
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <vector>

#include "worker/donor_channel.h"
#include "worker/pieces.h"
#include "worker/pull.h"

namespace convoy::worker {

struct TransferOptions {
  std::vector<Source> donors;  // asked one after the other; what they serve is the same, bit for bit
  Asker asker;
  Pull::What what{};
  std::int64_t step = 0;
  std::chrono::milliseconds stall{5'000};  // a donor that gives nothing for so long is given up
  Way way = Way::kMemory;                  // the quickest that may be used
  std::int64_t most_bytes = 16 << 20;      // asked for at once
};

struct Transferred {
  bool done = false;         // else no donor has it, and the destination holds nothing of use
  std::vector<Uuid> lost{};  // donors that died, stalled or gave what was wrong
};

// Fills the destination. A donor that is lost half-way is followed by the next one from there on. Throws
// Error(kPeerLost) naming the donors, and why, when all of them are lost (who says that it has nothing is not);
// Error(kInterrupted) soon after a request to stop.
Transferred fetch(const TransferOptions& options, const Destination& destination, std::stop_token stop);

}  // namespace convoy::worker
