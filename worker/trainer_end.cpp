// Checkpoints, and how a run ends for a worker.
#include <algorithm>
#include <cmath>
#include <thread>

#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/uuid.h"
#include "worker/trainer.h"

namespace convoy::worker {

using std::chrono::duration;

CheckpointFacts Trainer::facts() const {
  return {.step = applied(),
          .ballot = ballot_,
          .world = world_,
          .loss = last_.loss,
          .evaluated = evaluated_after_ == applied(),
          .data_digest = data_digest_};
}

// Those who see the same run directory write, each its share, in the background; rank 0 says whether, and commits. A
// run of weeks does not end because its disk is full for a while: what stands is still there, and the next checkpoint
// may succeed.
void Trainer::save(bool must) {
  at("checkpoint");
  const std::int64_t step = applied();
  const bool last = must || step == recipe_.train.steps;
  // One that came to nothing is written again where there is another chance.
  const bool wanted = must || owed_ || (Checkpointer::due(recipe_, step) && saved_after_ < step) ||
                      (leads() && checkpointer_->has_begun(step));
  const std::optional<CheckpointPlan> plan = agree_on_checkpoint(wanted, last);
  if (!plan) return;
  owed_ = false;
  sharing_.clear();
  for (const std::int32_t writer : plan->writers) sharing_.push_back(members_[static_cast<std::size_t>(writer)]);
  sharing_ranks_ = plan->writers;
  sharing_tag_ = {};
  std::ranges::copy(plan->tag, sharing_tag_.begin());
  if (leads()) saved_after_ = step;
  if (std::ranges::count(plan->writers, rank_) > 0) checkpointer_->begin(facts(), *plan, rank_);
}

// Nothing: none is begun. The plan is rank 0's.
std::optional<CheckpointPlan> Trainer::agree_on_checkpoint(bool wanted, bool last) {
  const auto clear = [&] { return leads() && wanted && checkpointer_->is_clear_for(applied(), last); };
  // Nobody hangs that waits for another's disk.
  reporter_->set_position(applied(), leads() ? cluster::Phase::kCheckpointing : cluster::Phase::kWaiting);
  if (writers_.size() < 2) return clear() ? std::optional<CheckpointPlan>(CheckpointPlan{}) : std::nullopt;
  if (last) {
    finish_shares();
  } else {
    shares_are_done();
  }
  CheckpointPlan plan{.writers = {}, .tag = {}};
  // The tag, and of each rank whether it writes; all zero: none is begun.
  constexpr std::size_t kTag = std::tuple_size_v<Tag>;
  std::vector<char> word(kTag + static_cast<std::size_t>(world_));
  if (clear()) {
    plan.tag = random_hex(kTag / 2);
    for (const std::int32_t rank : checkpointer_->take_silent()) {
      const auto writer = static_cast<std::size_t>(std::ranges::find(sharing_ranks_, rank) - sharing_ranks_.begin());
      if (writer < sharing_.size()) blind_.insert(sharing_[writer]);
    }
    for (const std::int32_t rank : writers_) {
      if (!blind_.contains(members_[static_cast<std::size_t>(rank)])) plan.writers.push_back(rank);
    }
    plan.writers.resize(checkpointer_->most_writers(plan.writers.size()));
    std::ranges::copy(plan.tag, word.begin());
    for (const std::int32_t rank : plan.writers) word[kTag + static_cast<std::size_t>(rank)] = 1;
  }
  communicator_->broadcast(word.data(), word.size(), 0);
  if (word.front() == 0) return std::nullopt;
  plan.tag.assign(word.begin(), word.begin() + kTag);
  plan.writers.clear();
  for (std::int32_t rank = 0; rank < world_; ++rank) {
    if (word[kTag + static_cast<std::size_t>(rank)] != 0) plan.writers.push_back(rank);
  }
  return plan;
}

// Whether no share is being written that rank 0 still waits for. Collective.
bool Trainer::shares_are_done() {
  const std::uint8_t busy = checkpointer_ && checkpointer_->is_busy() ? 1 : 0;
  std::vector<std::uint8_t> all(static_cast<std::size_t>(world_));
  std::vector<std::span<std::byte>> received;
  for (std::uint8_t& flag : all) received.push_back(bytes_of(flag));
  communicator_->all_gather_v(std::as_bytes(std::span(&busy, 1)), received);
  const bool wanted = all.front() != 0;
  const bool done = std::count(all.begin() + 1, all.end(), 0) == world_ - 1;
  if (leads() && wanted && done) checkpointer_->others_are_done();
  if (!leads() && !wanted && busy != 0) checkpointer_->abandon();  // rank 0's has failed
  return done || !wanted;
}

// Once this returns nobody but rank 0 is writing any more.
void Trainer::finish_shares() {
  if (writers_.size() < 2) return;
  reporter_->set_position(applied(), leads() ? cluster::Phase::kCheckpointing : cluster::Phase::kWaiting);
  while (!shares_are_done()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

void Trainer::abandon_checkpoint() {
  sharing_.clear();
  sharing_tag_ = {};
  if (!checkpointer_) return;
  if (checkpointer_->abandon_shared("not all who were to write a share of it can go on with that")) owed_ = true;
  checkpointer_->abandon();
}

// One that is under way is written on if all who write it are here, the one who commits still leads, and everybody has
// heard of it: an epoch may have been sealed while they were being told.
void Trainer::keep_or_abandon_checkpoint(const std::vector<Arrival>& arrivals) {
  const auto writes_on = [&](const Uuid& writer) {
    const auto member = std::ranges::find(members_, writer);
    return member != members_.end() &&
           arrivals[static_cast<std::size_t>(member - members_.begin())].checkpoint == sharing_tag_;
  };
  if (!sharing_.empty() && sharing_.front() == members_.front() && std::ranges::all_of(sharing_, writes_on)) return;
  abandon_checkpoint();
}

// Rank 0's last one. It does not fail for what another worker's disk does: then this one writes all of it.
std::string Trainer::finish_checkpoint() {
  try {
    return checkpointer_->finish();
  } catch (const Error& error) {
    const bool failed = error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kDataLoss;
    if (!failed || sharing_.size() < 2) throw;
  }
  sharing_ = {uuid_};
  sharing_tag_ = {};
  return checkpointer_->write(facts());
}

// Nobody leaves before the checkpoint stands: a launcher may end the others with the first that does. Returns its
// folder to rank 0.
std::string Trainer::wait_for_checkpoint(std::int64_t step) {
  std::string checkpoint;
  std::string failure;
  finish_shares();
  if (leads()) {
    reporter_->set_position(step, cluster::Phase::kCheckpointing);
    try {
      checkpoint = finish_checkpoint();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnavailable && error.code() != ErrorCode::kDataLoss) throw;
      failure = error.what();
    }
  } else {
    reporter_->set_position(step, cluster::Phase::kWaiting);
  }
  std::uint8_t written = failure.empty() ? 1 : 0;
  communicator_->broadcast(&written, sizeof written, 0);
  if (written == 0) {
    ends_run_ = leads();
    const std::string what = fmt::format("stopped after step {} without a checkpoint: {}", step, failure);
    // The others hear from the scheduler why.
    fail(leads() ? ErrorCode::kUnavailable : ErrorCode::kPeerLost, "{}", what);
  }
  return checkpoint;
}

Trainer::End Trainer::stop_after(std::int64_t step) {
  stops_after_ = step;
  save(/*must=*/true);
  const std::string checkpoint = wait_for_checkpoint(step);
  if (profile_) profile_->finish();
  if (!leads()) return {.exit_code = kExitStopped};
  return {.exit_code = kExitStopped,
          .reason = fmt::format("after step {}; checkpoint {}; run `{} resume {}` to go on", step, checkpoint,
                                command_.workload.program.command(), command_.run_directory)};
}

// What stands in a checkpoint already is not written again.
Trainer::End Trainer::stopped_at_checkpoint(std::int64_t step) const {
  if (!leads()) return {.exit_code = kExitStopped};
  return {.exit_code = kExitStopped,
          .reason = fmt::format("after step {}, before its evaluation was through; run `{} resume {}` to go on", step,
                                command_.workload.program.command(), command_.run_directory)};
}

// The run cannot go on, and this worker has its state: what was done is not lost.
Trainer::End Trainer::save_and_leave(const cluster::Stop& stop) {
  reporter_->set_position(applied(), cluster::Phase::kCheckpointing);
  if (!checkpointer_) checkpointer_ = make_checkpointer();
  checkpointer_->abandon_shared("the run ends");
  checkpointer_->write(facts());
  return {.exit_code = stop.exit_code};
}

// Whoever is asked to leads the run to its end; the others wait until that stands on record, ready to take over.
std::optional<Trainer::End> Trainer::finish() {
  const std::int64_t steps = recipe_.train.steps;
  const std::optional<Evaluation> evaluation = run_evaluation(steps);
  if (evaluation && evaluation->abandoned) {
    wait_for_checkpoint(steps);
    return stopped_at_checkpoint(steps);
  }
  finish_shares();
  if (leads()) {
    reporter_->set_position(steps, cluster::Phase::kCheckpointing);
    ends_run_ = true;
    finish_checkpoint();
    ends_run_ = false;
  }
  reporter_->set_position(steps, cluster::Phase::kWaiting);
  // Of this process: whoever resumed a run did not see how fast it was before.
  const double samples = static_cast<double>((steps - begin_step_) * recipe_.train.global_batch);
  const double tokens = samples * static_cast<double>(dataset_->tokens_per_sample());
  cluster::FinalReport report{.steps = steps,
                              .final_loss = last_.loss,
                              .parameters_hash = leads() ? replica_.parameters_hash() : "",
                              .state_hash = leads() ? replica_.state_hash(steps) : "",
                              .eval_loss = evaluation ? evaluation->loss : std::nan(""),
                              .eval_accuracy = std::nullopt,
                              .samples_per_s = samples > 0 ? samples / training_s_ : 0.0,
                              .tokens_per_s = std::nullopt,
                              .wall_s = duration<double>(Clock::now() - command_.started).count(),
                              .start_to_first_step_s = start_to_first_step_s_,
                              .world = world_};
  if (evaluation) report.eval_accuracy = evaluation->accuracy;
  if (dataset_->tokens_per_sample() > 0) report.tokens_per_s = samples > 0 ? tokens / training_s_ : 0.0;
  at("finish");
  if (leads()) reporter_->report(steps, report);
  return std::nullopt;
}

}  // namespace convoy::worker
