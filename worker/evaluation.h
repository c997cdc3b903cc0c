// Held-out loss and accuracy, shared out over the workers and summed along a fixed tree over the batches.
#pragma once

#include <optional>
#include <string_view>

#include "distributed/communicator.h"
#include "worker/batches.h"
#include "worker/replica.h"

namespace convoy::worker {

struct Evaluation {
  double loss = 0.0;      // mean over the held-out targets, nats
  double accuracy = 0.0;  // share of the targets whose likeliest class is right
};

inline constexpr std::string_view kEvaluation = "evaluation";
// The forward pass alone, as it is after training, on a batch of Batches::specs().
StepFunction evaluation_of(const Replica& replica);

// Collective; the same bits for any number of workers. Nothing where there is no held-out data.
std::optional<Evaluation> evaluate(Replica& replica, const Batches& batches, distributed::Communicator& communicator);

}  // namespace convoy::worker
