// A replica's state as the bytes that travel from one worker to another: all that Replica::state() lists, in its order.
#pragma once

#include "worker/pieces.h"
#include "worker/replica.h"

namespace convoy::worker {

// Both stay good for as long as the replica lives. What reads or writes them answers for the moment (worker/offer.h).
Parts parts_of(const Replica& replica);
Destination destinations_of(Replica& replica);

// To be called once the destinations were written, before anything is computed from them.
void state_was_written(Replica& replica);

}  // namespace convoy::worker
