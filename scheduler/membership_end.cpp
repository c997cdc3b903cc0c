// How the run ends.
#include <algorithm>

#include "core/base/exit_code.h"
#include "scheduler/membership.h"

namespace convoy::scheduler {

using namespace cluster;

void Membership::add_cause(Cause cause) {
  if (!cause_) {
    cause_ = std::move(cause);
    return;
  }
  std::optional<Time> due = cause_->due;
  if (cause.due) due = due ? std::min(*due, *cause.due) : *cause.due;
  if (cause.strength > cause_->strength) cause_ = std::move(cause);
  cause_->due = due;
}

void Membership::stop(Outcome outcome, Time now, Actions& actions) {
  if (ending_ == Ending::kStopping) return;
  ending_ = Ending::kStopping;
  cause_.reset();
  timers_.clear();
  stopping_since_ = now;
  stopping_with_ = std::move(outcome);
  actions.emplace_back(event("run_stopped", nullptr, stopping_with_.reason));
  const Stop message{.exit_code = stopping_with_.exit_code, .reason = stopping_with_.reason};
  for (const Uuid& worker : workers()) {
    if (worker != saver_) send(worker, message, actions);  // that one was told
  }
  send_agents(message, actions);
}

// --- too few workers: the state as it is goes into a checkpoint

void Membership::save(std::vector<Uuid> holders, std::string reason, Time now, Actions& actions) {
  ending_ = Ending::kSaving;
  timers_.clear();
  holders_ = std::move(holders);
  saving_for_ = std::move(reason);
  actions.emplace_back(event("stop_requested", nullptr, saving_for_));
  send_agents(FinishStep{.reason = saving_for_}, actions);
  ask_next_holder(now, actions);
}

void Membership::ask_next_holder(Time now, Actions& actions) {
  saver_.reset();
  while (!holders_.empty() && !saver_) {
    const Uuid next = holders_.front();
    holders_.erase(holders_.begin());
    Worker* worker = roster_.find(next);
    if (worker == nullptr || !worker->present() || worker->excluded) continue;
    saver_ = next;
    wish_since_ = worker->heard = worker->moved = now;
    send(next, Stop{.exit_code = kExitStopped, .save = true, .reason = saving_for_}, actions);
  }
  if (!saver_) stop(without_workers(saving_for_), now, actions);
}

void Membership::on_saved(Time now, Actions& actions) {
  if (ending_ == Ending::kSaving) stop(without_workers(saving_for_), now, actions);
}

// A checkpoint takes the time it takes; who does nothing about it is not waited for for ever.
void Membership::check_saving(Time now, Actions& actions) {
  if (ending_ != Ending::kSaving) return;
  const Worker* worker = saver_ ? roster_.find(*saver_) : nullptr;
  const bool writes = worker != nullptr && worker->phase == Phase::kCheckpointing && !watch_.is_mute(*worker, now);
  if (worker == nullptr || !worker->present() || (!writes && seconds(now - wish_since_) > watch_.limit_s()))
    ask_next_holder(now, actions);
}

// --- a signal

// Whoever says it says it again until it is answered. Workers and agents hear of it in any case; a worker that has been
// started a moment ago and is yet to register does not.
void Membership::receive_wish(const Uuid& sender, const StopRequest& message, Time now, Actions& actions) {
  const bool stranger = roster_.find(sender) == nullptr && !roster_.host_of_agent(sender);
  const bool again = wish_.has_value();
  wish_to_stop(message.reason, now, actions);
  if (wish_ && (again || stranger)) {
    send(sender, FinishStep{.reason = *wish_}, actions);
  } else if (stranger && ending_ == Ending::kStopping) {
    send(sender, Stop{.exit_code = stopping_with_.exit_code, .reason = stopping_with_.reason}, actions);
  }
}

void Membership::wish_to_stop(std::string reason, Time now, Actions& actions) {
  if (ending_ != Ending::kNone || wish_) return;
  if (!final_recorded_ && (gathering() || reported_step_ == checkpoint_step_)) {
    const bool lasting = checkpoint_step_ > 0;
    return stop({.exit_code = lasting ? kExitStopped : 1, .reason = lasting ? after_checkpoint(reason) : reason}, now,
                actions);
  }
  wish_ = std::move(reason);
  wish_since_ = now;
  actions.emplace_back(event("stop_requested", nullptr, *wish_));
  for (const Uuid& worker : workers()) send(worker, FinishStep{.reason = *wish_}, actions);
  send_agents(FinishStep{.reason = *wish_}, actions);
  // There is no step to finish where too few are left to do it.
  if (epochs_.state() == Epochs::State::kWaiting)
    feed(epochs_.on_timer({.kind = Timer::Kind::kTooFew, .ballot = epochs_.round()}), now, actions);
}

// Who was asked to finish its step and does not is not waited for for ever; a checkpoint takes the time it takes.
void Membership::check_wish(Time now, Actions& actions) {
  const double limit = watch_.limit_s();
  if (ending_ != Ending::kNone || !wish_ || final_recorded_ || seconds(now - wish_since_) <= limit) return;
  for (const Worker* worker : roster_.present()) {
    if (worker->phase == Phase::kCheckpointing) return;
  }
  if (checkpoint_step_ > 0 && checkpoint_step_ == reported_step_)
    return stop({.exit_code = kExitStopped, .reason = after_checkpoint(*wish_)}, now, actions);
  stop({.exit_code = 1,
        .reason = fmt::format(
            "{} after step {}, and no checkpoint was written within {:g} s{}", *wish_, reported_step_, limit,
            checkpoint_step_ > 0 ? fmt::format("; the last one is of step {}", checkpoint_step_) : "")},
       now, actions);
}

// --- what is said and returned

Outcome Membership::without_workers(const std::string& reason) const {
  return {.exit_code = checkpoint_step_ > 0 ? kExitStopped
                       : cause_             ? cause_->outcome.exit_code
                                            : 1,
          .reason = reason + go_on()};
}

std::string Membership::go_on() const {
  if (checkpoint_step_ == 0) return "; there is no checkpoint to go on from";
  return fmt::format("; the last checkpoint is of step {}: run `{} resume {}` to go on", checkpoint_step_,
                     past_.program, past_.run_directory);
}

std::string Membership::after_checkpoint(const std::string& reason) const {
  return fmt::format("{} after step {}, of which there is a checkpoint; run `{} resume {}` to go on", reason,
                     checkpoint_step_, past_.program, past_.run_directory);
}

Actions Membership::on_records_lost(std::string reason, Time now) {
  Actions actions;
  if (ending_ != Ending::kNone || final_recorded_) return actions;
  decided_.clear();
  // Whoever is in the epoch has its state; who is furthest is asked by the order of their ranks.
  std::vector<Uuid> holders;
  if (epochs_.epoch() && options_.rebuilds && reported_step_ > checkpoint_step_) holders = epochs_.epoch()->members;
  save(std::move(holders), std::move(reason), now, actions);
  conclude(now, actions);
  return actions;
}

// A scheduler that was started anew gives the members a while to find it.
bool Membership::nobody_is_left(Time now) const {
  if (!roster_.present().empty()) return false;
  if (!past_.restarted || seconds(now - start_) > kReconnect || !last_plan_) return true;
  return std::all_of(last_plan_->members.begin(), last_plan_->members.end(), [&](const Uuid& uuid) {
    const Worker* worker = roster_.find(uuid);
    return worker != nullptr && (worker->ended || worker->leave);
  });
}

// Nothing is missing any more but that they leave.
void Membership::check_leaving(Time now) {
  if (!final_recorded_ || outcome_ || seconds(now - final_since_) <= watch_.limit_s()) return;
  for (const Worker* worker : roster_.present()) {
    if (worker->phase == Phase::kCheckpointing && !watch_.is_mute(*worker, now)) return;
  }
  outcome_ = Outcome{.exit_code = 0, .reason = ""};
}

// Takes the steps that follow from what just changed: a cause that is due, the end of the run.
void Membership::conclude(Time now, Actions& actions) {
  if (outcome_) return;
  if (cause_ && cause_->due && *cause_->due <= now && ending_ == Ending::kNone) {
    const Outcome outcome = cause_->outcome;
    stop(outcome, now, actions);
  }
  const bool all_gone = nobody_is_left(now);
  if (ending_ == Ending::kNone && all_gone && !gathering()) {
    const auto end = [&](Outcome outcome, const char* kind) {
      outcome_ = std::move(outcome);
      actions.emplace_back(event(kind, nullptr, outcome_->reason));
    };
    if (final_recorded_) {
      end({.exit_code = 0, .reason = ""}, "run_finished");
      send_agents(Stop{.exit_code = 0, .reason = ""}, actions);
    } else if (wish_ && !(cause_ && cause_->due)) {
      end(!stopped_where_.empty()
              ? Outcome{.exit_code = kExitStopped, .reason = fmt::format("{} {}", *wish_, stopped_where_)}
              : without_workers(cause_ ? cause_->outcome.reason : *wish_),
          "run_stopped");
      send_agents(Stop{.exit_code = outcome_->exit_code, .reason = outcome_->reason}, actions);
    } else if (!options_.rebuilds && !cause_) {
      end({.exit_code = 1, .reason = "all workers left before the run was complete"}, "run_stopped");
    }
  }
  // Who was on the way in has nobody left to come to.
  const auto left = [](const Worker* worker) { return worker->leave || worker->ended; };
  if (ending_ == Ending::kNone && !outcome_ && wish_ && !stopped_where_.empty() && std::ranges::all_of(members(), left))
    stop({.exit_code = kExitStopped, .reason = fmt::format("{} {}", *wish_, stopped_where_)}, now, actions);
  const double grace = std::max(options_.limits.stop_grace, 2 * watch_.long_step_s());
  if (ending_ == Ending::kStopping && (all_gone || seconds(now - stopping_since_) > grace)) outcome_ = stopping_with_;
}

}  // namespace convoy::scheduler
