#include "worker/training_step.h"

#include <array>
#include <bit>
#include <cmath>
#include <span>
#include <vector>

#include "core/base/hash.h"
#include "core/nn/schedule.h"

namespace convoy::worker {
namespace {

double milliseconds_between(TrainingStep::Clock::time_point from, TrainingStep::Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// The sum of squares of each thousand numbers of the gradient stands for them.
std::uint64_t checksum_of(std::span<const double> squares, const distributed::LossSums& sums) {
  const std::array whole{xxh3_64(std::as_bytes(squares)), std::bit_cast<std::uint64_t>(sums.loss),
                         std::bit_cast<std::uint64_t>(sums.count)};
  return xxh3_64(std::as_bytes(std::span(whole)));
}

}  // namespace

TrainingStep::TrainingStep(const Recipe& recipe, Replica& replica, const Batches& batches,
                           distributed::GradientReducer& reducer, StepProfile* profile)
    : recipe_(recipe), replica_(replica), batches_(batches), reducer_(reducer), profile_(profile) {}

void TrainingStep::begin(std::int64_t step, const distributed::Assignment& assignment, std::int32_t rank) {
  if (profile_ != nullptr) profile_->begin_step(step);
  step_ = step;
  start_ = Clock::now();
  reducer_.begin_step(step, assignment, rank);
}

bool TrainingStep::compute_one(bool stops) {
  const std::span<const std::int32_t> missing = reducer_.missing();
  if (missing.empty()) return false;
  const std::int32_t shard = missing.front();
  const StepKey key{.seed = recipe_.train.seed, .step = step_, .shard = shard};
  reducer_.begin_leaf(shard);
  distributed::LossSums sums = replica_.gradient(
      key, batches_.training(step_, shard),
      [&](std::size_t parameter, std::span<const float> gradient) { reducer_.add(parameter, gradient); },
      reducer_.leaf_memory());
  sums.stops = stops ? 1.0 : 0.0;
  reducer_.end_leaf(sums);
  return true;
}

void TrainingStep::reduce(distributed::Communicator& communicator, const std::function<void()>& after_bucket) {
  computed_ = Clock::now();
  reducer_.reduce(communicator, after_bucket);
  reduced_ = Clock::now();
}

void TrainingStep::take_over(std::int64_t step) {
  step_ = step;
  reducer_.taken_over(step);
  start_ = computed_ = reduced_ = Clock::now();
}

StepResult TrainingStep::result() {
  const std::vector<double> squares = replica_.chunk_squares(reducer_.reduced_data());
  const distributed::LossSums& sums = reducer_.reduced_sums();
  StepResult result{.step = step_,
                    .loss = sums.loss / sums.count,
                    .lr = learning_rate(recipe_.optimizer, step_, recipe_.train.steps),
                    .grad_norm = std::sqrt(squared_norm(replica_.layout(), squares)) / sums.count,
                    .count = sums.count,
                    .stop = sums.stops > 0.0,
                    .checksum = checksum_of(squares, sums)};
  result.finite = std::isfinite(result.loss) && std::isfinite(result.grad_norm);
  return result;
}

void TrainingStep::update(StepResult& result, bool apply) {
  const double clip = recipe_.optimizer.clip_norm;
  const double clip_factor = clip > 0.0 && result.grad_norm > clip ? clip / result.grad_norm : 1.0;
  replica_.update(step_, reducer_.reduced_data(),
                  {.lr = result.lr, .gradient_scale = clip_factor / result.count, .apply = apply});
  const Clock::time_point end = Clock::now();
  result.step_ms = milliseconds_between(start_, end);
  result.comm_ms = milliseconds_between(computed_, reduced_);
  result.compute_ms = result.step_ms - result.comm_ms;
  if (profile_ != nullptr) profile_->end_step(step_, computed_, reduced_);
}

}  // namespace convoy::worker
