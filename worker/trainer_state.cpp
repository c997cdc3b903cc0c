// How a worker gets the state from which an epoch goes on: from a checkpoint, or from members that have it.
#include <algorithm>

#include "core/base/error.h"
#include "worker/reduced_parts.h"
#include "worker/resume.h"
#include "worker/state_parts.h"
#include "worker/trainer.h"
#include "worker/transfer.h"

namespace convoy::worker {

void Trainer::get_state(const FetchState& task) {
  reporter_->set_position(task.fetch.step, cluster::Phase::kStarting);
  if (task.fetch.what != Fetch::What::kGradient) abandon_checkpoint();
  switch (task.fetch.what) {
    case Fetch::What::kCheckpoint:
      return read_checkpoint(task);
    case Fetch::What::kState:
      return copy_state(task);
    case Fetch::What::kGradient:
      return catch_up(task);
  }
}

void Trainer::read_checkpoint(const FetchState& task) {
  const std::int64_t step = task.fetch.step;
  if (step == 0) {
    replica_.initialize();
  } else {
    resumed_ = resume_from(command_.run_directory, step, recipe_, command_.workload.program, *dataset_, replica_);
    last_ = {.loss = resumed_->loss, .count = 0.0};
    evaluated_after_ = resumed_->evaluated ? step : 0;
  }
  began_run_ = true;
  begin_step_ = saved_after_ = step;
  session_.restored(task.fetch.ballot);
}

std::vector<Source> Trainer::sources(const FetchState& task) const {
  std::vector<Source> sources;
  for (const Uuid& donor : task.fetch.donors) {
    const auto member = std::ranges::find(task.epoch.members, donor, &cluster::Member::uuid);
    if (member != task.epoch.members.end()) sources.push_back({.uuid = donor, .service = member->donor});
  }
  // Not everybody at the first of them.
  if (!sources.empty()) std::ranges::rotate(sources, sources.begin() + uuid_.bytes[0] % std::ssize(sources));
  return sources;
}

void Trainer::copy_state(const FetchState& task) {
  at("copy");
  Destination destination = destinations_of(replica_);
  destination.push_back(bytes_of(last_));
  const Transferred transferred =
      worker::fetch({.donors = sources(task),
                     .asker = {.self = uuid_, .token = command_.place.scheduler->token, .ballot = task.fetch.ballot},
                     .what = Pull::What::kState,
                     .step = task.fetch.step},
                    destination, task.sealed);
  if (!transferred.done) fail(ErrorCode::kPeerLost, "no donor has the state after step {} any more", task.fetch.step);
  state_was_written(replica_);
  at("copied");
  begin_step_ = task.fetch.step;
  logger_.info("copied the state after step {}", task.fetch.step);
  session_.restored(task.fetch.ballot);
}

// The others have applied one step more: their reduced gradient does here what it did there.
void Trainer::catch_up(const FetchState& task) {
  at("catch_up");
  const Destination destination = destination_of(reducer_.place_to_take_over());
  const Transferred transferred =
      worker::fetch({.donors = sources(task),
                     .asker = {.self = uuid_, .token = command_.place.scheduler->token, .ballot = task.fetch.ballot},
                     .what = Pull::What::kGradient,
                     .step = task.fetch.step},
                    destination, task.sealed);
  if (!transferred.done) return session_.no_gradient(task.fetch.ballot);
  if (!session_.begin()) return;
  step_.take_over(task.fetch.step);
  StepResult result = step_.result();
  if (session_.reduced()) commit(result);
}

}  // namespace convoy::worker
