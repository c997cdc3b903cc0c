// Held-out loss and accuracy, shared out over the workers and summed along a fixed tree over the batches.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "distributed/communicator.h"
#include "worker/batches.h"
#include "worker/replica.h"

namespace convoy::worker {

struct Evaluation {
  double loss = 0.0;      // mean over the held-out targets, nats
  double accuracy = 0.0;  // share of the targets whose likeliest class is right
  // A worker was asked to stop before it was through, which all know by now: the numbers say nothing.
  bool abandoned = false;
};

inline constexpr std::string_view kEvaluation = "evaluation";
// The forward pass alone, as it is after training, on a batch of Batches::specs().
StepFunction evaluation_of(const Replica& replica);

// Collective; the same bits for any number of workers. Nothing where there is no held-out data. `stops` is asked
// between batches.
std::optional<Evaluation> evaluate(Replica& replica, const Batches& batches, distributed::Communicator& communicator,
                                   const std::function<bool()>& stops = {});

}  // namespace convoy::worker
