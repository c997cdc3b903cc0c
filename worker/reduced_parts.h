// What of a reduced gradient travels from a worker that has it to one that needs it: the gradient itself, the sums of
// the losses, and who gave which shards.
#pragma once

#include <cstdint>

#include "distributed/gradient_reducer.h"
#include "worker/offer.h"
#include "worker/pieces.h"

namespace convoy::worker {

// Nothing unless the reducer holds that of `step`: as soon as the next one is written over it the offer is over. Any
// thread.
Offer offer_of_reduced(const distributed::GradientReducer& reducer, std::int64_t step);
// The same parts, where they are to go.
Destination destination_of(const distributed::GradientReducer::Place& place);

}  // namespace convoy::worker
