// What a Membership shows of itself: the state of the run and who is in it.
#include <fmt/format.h>

#include <algorithm>

#include "scheduler/membership.h"
#include "scheduler/run_view.h"

namespace convoy::scheduler {

RunView Membership::view(Time now) const {
  RunView view;
  view.ballot = epoch_ballot();
  view.state = run_state();
  if (outcome_) {
    view.reason = outcome_->reason;
  } else if (ending_ == Ending::kSaving) {
    view.reason = saving_for_;
  } else if (ending_ == Ending::kStopping) {
    view.reason = stopping_with_.reason;
  } else if (wish_) {
    view.reason = *wish_;
  }
  for (const Worker* worker : roster_.present()) {
    WorkerView seen{.uuid = worker->member.uuid,
                    .rank = worker->member.rank,
                    .host = worker->member.host,
                    .pid = worker->member.pid,
                    .phase = std::string(cluster::phase_name(worker->phase)),
                    .step = step_of(*worker)};
    if (worker->heard != Time{}) seen.heartbeat_age_s = std::max(seconds(now - worker->heard), 0.0);
    view.workers.push_back(std::move(seen));
  }
  std::sort(view.workers.begin(), view.workers.end(),
            [](const WorkerView& left, const WorkerView& right) { return left.rank < right.rank; });
  if (view.reason.empty() && (view.state == RunState::kWaiting || view.state == RunState::kGathering)) {
    const std::int32_t wanted = view.state == RunState::kGathering ? options_.world : options_.min_workers;
    view.reason = fmt::format("{} of {} worker{}", view.workers.size(), wanted, wanted == 1 ? "" : "s");
  }
  return view;
}

RunState Membership::run_state() const {
  if (outcome_) return outcome_->exit_code == 0 ? RunState::kFinished : RunState::kStopped;
  if (ending_ != Ending::kNone || wish_ || final_recorded_) return RunState::kFinishing;
  switch (epochs_.state()) {
    case Epochs::State::kGathering:
      return RunState::kGathering;
    case Epochs::State::kSealing:
    case Epochs::State::kExcluding:
      return RunState::kSealing;
    case Epochs::State::kRunning:
      return RunState::kRunning;
    case Epochs::State::kWaiting:
      return RunState::kWaiting;
    case Epochs::State::kOver:
      break;
  }
  return RunState::kFinishing;
}

}  // namespace convoy::scheduler
