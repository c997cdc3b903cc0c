// Why a worker does not want to meet another, whatever they meet over.
#pragma once

#include <cstdint>
#include <vector>

#include "distributed/peer_lost.h"

namespace convoy::distributed {

enum class Refusal : std::uint32_t { kNone, kVersion, kToken, kBallot, kRank };
const char* refusal_text(Refusal refusal);

// Who is lost by such words from where `peer` should be: nobody where it is in another epoch, or has met this worker.
std::vector<LostPeer> lost_by_refusal(const Uuid& peer, Refusal refusal);

}  // namespace convoy::distributed
