// Checkpoints, and how a run ends for a worker.
#include <cmath>

#include "core/base/error.h"
#include "core/base/exit_code.h"
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

// Rank 0 writes, in the background. A run of weeks does not end because its disk is full for a while: what stands is
// still there, and the next checkpoint may succeed.
void Trainer::save() {
  at("checkpoint");
  saved_after_ = applied();
  if (applied() < recipe_.train.steps) return checkpointer_->start(facts());
  reporter_->set_position(applied(), cluster::Phase::kCheckpointing);
  checkpointer_->start_last(facts());
}

// Nobody leaves before the checkpoint stands: a launcher may end the others with the first that does. Returns its
// folder to rank 0.
std::string Trainer::wait_for_checkpoint(std::int64_t step, const std::function<std::string()>& wait) {
  std::string checkpoint;
  std::string failure;
  if (leads()) {
    reporter_->set_position(step, cluster::Phase::kCheckpointing);
    try {
      checkpoint = wait();
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
  const std::string checkpoint = wait_for_checkpoint(step, [&] {
    at("checkpoint");
    return checkpointer_->write(facts());
  });
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
  checkpointer_->write(facts());
  return {.exit_code = stop.exit_code};
}

// Whoever is asked to leads the run to its end; the others wait until that stands on record, ready to take over.
std::optional<Trainer::End> Trainer::finish() {
  const std::int64_t steps = recipe_.train.steps;
  const std::optional<Evaluation> evaluation = run_evaluation(steps);
  if (evaluation && evaluation->abandoned) {
    wait_for_checkpoint(steps, [this] { return checkpointer_->finish(); });
    return stopped_at_checkpoint(steps);
  }
  if (leads()) {
    reporter_->set_position(steps, cluster::Phase::kCheckpointing);
    ends_run_ = true;
    checkpointer_->finish();
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
