// A step as one worker does it: the gradients of its logical shards one after another, their sum over all workers, the
// update. What it has summed of a step that was broken off is kept, so that the step is gone on with in other company.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "core/base/recipe.h"
#include "distributed/assignment.h"
#include "distributed/communicator.h"
#include "distributed/gradient_reducer.h"
#include "worker/batches.h"
#include "worker/replica.h"
#include "worker/step_profile.h"

namespace convoy::worker {

// What a step came to. The same on all workers but for the times.
struct StepResult {
  std::int64_t step = 0;
  double loss = 0.0;
  double lr = 0.0;
  double grad_norm = 0.0;
  double count = 0.0;          // targets
  bool finite = true;          // loss and norm are
  bool stop = false;           // a worker was asked to stop
  std::uint64_t checksum = 0;  // of the reduced gradient
  double step_ms = 0.0;
  double compute_ms = 0.0;
  double comm_ms = 0.0;
};

class TrainingStep {
 public:
  using Clock = std::chrono::steady_clock;

  // Keeps references to all of them. `profile` may be null.
  TrainingStep(const Recipe& recipe, Replica& replica, const Batches& batches, distributed::GradientReducer& reducer,
               StepProfile* profile);

  // Goes on with what is held of the sums of `step`, for this assignment.
  void begin(std::int64_t step, const distributed::Assignment& assignment, std::int32_t rank);
  std::int64_t step() const { return step_; }
  // The gradient of one more shard. False: there is none left to do. `stops`: this worker was asked to stop.
  bool compute_one(bool stops);
  // Collective. `after_bucket` is called as soon as each bucket is summed.
  void reduce(distributed::Communicator& communicator, const std::function<void()>& after_bucket);
  // What others reduced before this worker: it lies in the reducer's place_to_take_over().
  void take_over(std::int64_t step);
  // What the sums come to, nothing changed by it.
  StepResult result();
  // Writes the parameters. `apply` false: as a step that is skipped.
  void update(StepResult& result, bool apply);

 private:
  const Recipe& recipe_;
  Replica& replica_;
  const Batches& batches_;
  distributed::GradientReducer& reducer_;
  StepProfile* const profile_;
  std::int64_t step_ = 0;
  Clock::time_point start_, computed_, reduced_;
};

}  // namespace convoy::worker
