#include "scheduler/membership.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/signals.h"

namespace convoy::scheduler {

namespace {

using namespace cluster;

// A scheduler that did not run for this long (stopped, or its machine asleep) cannot blame others for its silence.
constexpr double kOwnSilence_s = 2.0;

double seconds(Time::duration duration) { return std::chrono::duration<double>(duration).count(); }
Time after(Time now, double wait_s) {
  return now + std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(wait_s));
}

// Phases that may take longer than any step without a kernel.
bool works_without_kernels(Phase phase) { return phase == Phase::kStarting || phase == Phase::kCheckpointing; }
// Phases that end whatever the others do. An evaluation computes and reduces in one phase.
bool needs_nobody(Phase phase) { return phase == Phase::kForwardBackward || phase == Phase::kUpdating; }
bool waits_for_others(Phase phase) { return phase == Phase::kReducing || phase == Phase::kWaiting; }

std::string title(std::int32_t rank, std::int32_t pid) { return fmt::format("worker {} (pid {})", rank, pid); }
std::string title(const Member& member) { return title(member.rank, member.pid); }

// The run's exit code after a worker that ended with `worker_exit_code`: wrong usage stays wrong usage.
int run_exit_code(std::int32_t worker_exit_code) { return worker_exit_code == 2 ? 2 : 1; }

}  // namespace

Membership::Membership(std::uint64_t term, std::int32_t world, const Limits& limits, Time now, Past past)
    : world_(world),
      limits_(limits),
      start_(now),
      past_(std::move(past)),
      ballot_{.term = term, .attempt = 0},
      stopping_since_(now),
      last_tick_(now),
      last_step_(now),
      reported_step_(past_.step),
      checkpoint_step_(past_.step),
      wish_since_(now) {
  if (world < 1) fail(ErrorCode::kInvalidArgument, "a run of {} workers, expected at least 1", world);
}

std::optional<std::int32_t> Membership::rank_of(const Uuid& uuid) const {
  for (const auto& [rank, worker] : workers_) {
    if (worker.member.uuid == uuid) return rank;
  }
  return std::nullopt;
}

bool Membership::may_report(const Message& message) const {
  return state_ != State::kGathering && message.ballot == ballot_ && rank_of(message.sender) == 0;
}

std::vector<Uuid> Membership::workers() const {
  std::vector<Uuid> present;
  for (const auto& [rank, worker] : workers_) {
    if (!worker.gone) present.push_back(worker.member.uuid);
  }
  return present;
}

Membership::Worker* Membership::find(const Uuid& uuid) {
  const auto rank = rank_of(uuid);
  return rank ? &workers_.at(*rank) : nullptr;
}

// Messages about a process itself (it registers, leaves, ended) hold whatever ballot it has heard of; messages about
// the work belong to one membership.
Actions Membership::on_message(const Message& message, Time now) {
  Actions actions;
  Worker* worker = find(message.sender);
  if (worker != nullptr) worker->heard = now;
  const bool current = worker != nullptr && message.ballot == ballot_;
  std::visit(
      [&](const auto& body) {
        using Kind = std::decay_t<decltype(body)>;
        if constexpr (std::is_same_v<Kind, Register>) {
          receive(message.sender, body, now, actions);
        } else if constexpr (std::is_same_v<Kind, RegisterAgent>) {
          agents_.insert(message.sender);
        } else if constexpr (std::is_same_v<Kind, WorkerEnded>) {
          receive(body, now, actions);
        } else if constexpr (std::is_same_v<Kind, StopRequest>) {
          wish_to_stop(body.reason, now, actions);
        } else if constexpr (std::is_same_v<Kind, Leave>) {
          if (worker != nullptr) receive(*worker, body, now, actions);
        } else if constexpr (std::is_same_v<Kind, Heartbeat>) {
          if (current) receive(*worker, body, now);
        } else if constexpr (std::is_same_v<Kind, StepReport>) {
          if (may_report(message)) receive(body, now);
        } else if constexpr (std::is_same_v<Kind, FinalReport>) {
          if (may_report(message)) final_reported_ = true;
        } else if constexpr (std::is_same_v<Kind, EventReport>) {
          if (body.kind == "checkpoint" && may_report(message)) checkpoint_step_ = body.step;
        }
      },
      message.body);
  conclude(now, actions);
  return actions;
}

Actions Membership::on_closed(const Uuid& uuid, Time now) {
  Actions actions;
  Worker* worker = find(uuid);
  if (worker == nullptr || worker->gone) return actions;
  worker->gone = true;
  if (state_ != State::kStopping) {
    add_cause(
        {.strength = Strength::kClosed,
         .rank = worker->member.rank,
         .outcome = {.exit_code = 1,
                     .reason = fmt::format("{} closed its connection {}", title(worker->member), position_of(*worker))},
         .due = after(now, limits_.settle)});
  }
  conclude(now, actions);
  return actions;
}

Actions Membership::on_stop_request(int exit_code, std::string reason, Time now) {
  Actions actions;
  stop({.exit_code = exit_code, .reason = std::move(reason)}, now, actions);
  conclude(now, actions);
  return actions;
}

Actions Membership::on_stop_wish(std::string reason, Time now) {
  Actions actions;
  wish_to_stop(std::move(reason), now, actions);
  conclude(now, actions);
  return actions;
}

Actions Membership::on_tick(Time now) {
  Actions actions;
  if (seconds(now - last_tick_) > kOwnSilence_s) {
    for (auto& [rank, worker] : workers_) worker.heard = worker.moved = now;
    last_step_ = now;
  }
  last_tick_ = now;

  if (cause_ && now >= cause_->due) stop(cause_->outcome, now, actions);
  if (state_ == State::kGathering && seconds(now - start_) > limits_.start_timeout) {
    std::string missing;
    for (std::int32_t rank = 0; rank < world_; ++rank) {
      if (!workers_.contains(rank)) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", rank);
    }
    const auto count = world_ - static_cast<std::int32_t>(workers_.size());
    stop({.exit_code = 1,
          .reason =
              fmt::format("{} of {} workers {} not registered after {:g} s: {} {}", count, world_,
                          count == 1 ? "has" : "have", limits_.start_timeout, count == 1 ? "rank" : "ranks", missing)},
         now, actions);
  }
  if (state_ == State::kRunning) check_silence(now, actions);
  if (state_ == State::kRunning) check_progress(now, actions);
  if (state_ == State::kRunning) check_wish(now, actions);
  conclude(now, actions);
  return actions;
}

void Membership::receive(const Uuid& sender, const Register& message, Time now, Actions& actions) {
  if (find(sender) != nullptr) return;
  if (message.rank < 0 || message.rank >= world_) {
    return refuse(sender, message.rank,
                  fmt::format("rank {} is outside of this run of {} workers", message.rank, world_), actions);
  }
  if (const auto taken = workers_.find(message.rank); taken != workers_.end()) {
    const Member& owner = taken->second.member;
    return refuse(sender, message.rank,
                  fmt::format("rank {} is taken by pid {} on {}", message.rank, owner.pid, owner.host), actions);
  }
  if (state_ == State::kStopping) {
    return refuse(sender, message.rank, fmt::format("the run is stopping: {}", stopping_with_.reason), actions);
  }

  // Compared before it counts as a member: what differs never takes part.
  if (!workers_.empty()) {
    const Worker& first = workers_.begin()->second;
    if (const auto difference = message.fingerprint.difference(first.fingerprint)) {
      const std::string reason = fmt::format("{} differs from worker {} in {}", title(message.rank, message.pid),
                                             first.member.rank, *difference);
      refuse(sender, message.rank, reason, actions);
      return stop({.exit_code = 1, .reason = reason}, now, actions);
    }
  }
  Worker& worker = workers_[message.rank];
  worker.member = {.uuid = sender,
                   .rank = message.rank,
                   .host = message.host,
                   .pid = message.pid,
                   .meeting_place = message.meeting_place};
  worker.fingerprint = message.fingerprint;
  worker.heard = now;
  actions.emplace_back(event("worker_joined", &worker, fmt::format("pid {} on {}", message.pid, message.host)));
  if (static_cast<std::int32_t>(workers_.size()) == world_ && !cause_) begin(now, actions);
}

void Membership::refuse(const Uuid& sender, std::int32_t rank, std::string reason, Actions& actions) {
  actions.emplace_back(Event{.kind = "worker_refused",
                             .worker = sender,
                             .rank = rank,
                             .ballot = ballot_,
                             .step = reported_step_,
                             .detail = reason});
  actions.emplace_back(Send{.to = sender, .body = Refuse{.reason = std::move(reason)}});
}

void Membership::begin(Time now, Actions& actions) {
  state_ = State::kRunning;
  ++ballot_.attempt;
  last_step_ = now;
  Epoch epoch{.members = {}, .resume_step = past_.step};
  for (auto& [rank, worker] : workers_) {
    worker.heard = worker.moved = now;
    epoch.members.push_back(worker.member);
  }
  actions.emplace_back(JournalEpoch{.ballot = ballot_, .epoch = epoch});
  actions.emplace_back(event("epoch", nullptr, fmt::format("{} workers", world_)));
  for (const Uuid& worker : workers()) actions.emplace_back(Send{.to = worker, .body = epoch});
}

void Membership::receive(Worker& worker, const Heartbeat& message, Time now) {
  // A worker in its next step has completed one, and the others with it. Whatever else it does says nothing of them.
  if (message.step > worker.step) last_step_ = now;
  if (message.step > worker.step || message.phase != worker.phase || message.activity != worker.activity ||
      works_without_kernels(message.phase)) {
    worker.moved = now;
  }
  worker.step = message.step;
  worker.phase = message.phase;
  worker.activity = message.activity;
}

void Membership::receive(const StepReport& message, Time now) {
  if (message.step > reported_step_) last_step_ = now;
  reported_step_ = std::max(reported_step_, message.step);
  longest_step_s_ = std::max(longest_step_s_, message.step_ms / 1e3);
}

void Membership::receive(Worker& worker, const Leave& message, Time now, Actions& actions) {
  if (worker.leave) return;
  worker.leave = message;
  worker.gone = true;
  worker.step = std::max(worker.step, message.step);
  actions.emplace_back(
      event("worker_left", &worker,
            fmt::format("exit code {}{}{}", message.exit_code, message.reason.empty() ? "" : ": ", message.reason)));
  // Its own words are better than what was seen of it from outside.
  if (cause_ && cause_->rank == worker.member.rank && cause_->strength < Strength::kKilled) cause_.reset();

  if (wish_ && message.exit_code == kExitStopped) {
    if (!message.reason.empty()) stopped_where_ = message.reason;
    return;
  }
  const bool early = message.exit_code == 0 && state_ == State::kGathering;
  if (message.exit_code == 0 && !early) return;
  add_cause({.strength = Strength::kGaveUp,
             .rank = worker.member.rank,
             .outcome = {.exit_code = run_exit_code(message.exit_code),
                         .reason = fmt::format("worker {}: {}", worker.member.rank,
                                               early                    ? "left before the run began"
                                               : message.reason.empty() ? "gave up without a reason"
                                                                        : message.reason)},
             // It may be the death of another that made it give up; wrong input is always its own affair.
             .due = message.exit_code == 2 ? now : after(now, limits_.settle)});
}

void Membership::receive(const WorkerEnded& message, Time now, Actions& actions) {
  const ExitStatus status{.exit_code = message.exit_code, .signal = message.signal};
  const auto found = workers_.find(message.rank);
  // A rank whose pid differs belongs to a process that was refused: its end changes nothing.
  if (found != workers_.end() && found->second.member.pid != message.pid) return;
  Worker* worker = found == workers_.end() ? nullptr : &found->second;
  if (worker != nullptr) {
    // As it was asked to; its own words are on their way.
    if (wish_ && !worker->leave && message.exit_code == kExitStopped && message.signal == 0) return;
    worker->gone = true;
    if (worker->leave) return;
  }
  if (state_ == State::kStopping && message.signal == 0) return;  // it did as it was told
  const std::string where = worker != nullptr ? position_of(*worker) : "before it registered";
  const std::string reason = fmt::format("{} {} {}", title(message.rank, message.pid), describe_exit(status), where);
  Event lost = event("worker_lost", worker, reason);
  lost.rank = message.rank;
  actions.emplace_back(std::move(lost));
  const bool killed = message.signal != 0;
  add_cause({.strength = killed ? Strength::kKilled : Strength::kEnded,
             .rank = message.rank,
             .outcome = {.exit_code = killed ? 1 : run_exit_code(message.exit_code), .reason = reason},
             .due = killed ? now : after(now, limits_.settle)});  // an exit may have overtaken its Leave
}

void Membership::add_cause(Cause cause) {
  if (!cause_) {
    cause_ = std::move(cause);
    return;
  }
  const Time due = std::min(cause.due, cause_->due);
  if (cause.strength > cause_->strength) cause_ = std::move(cause);
  cause_->due = due;
}

void Membership::check_silence(Time now, Actions& actions) {
  // While the others complete steps with it, a worker that only the scheduler does not hear is not lost.
  if (seconds(now - last_step_) <= limits_.suspect) return;
  for (auto& [rank, worker] : workers_) {
    const double silence = seconds(now - worker.heard);
    if (worker.gone || silence <= limits_.suspect) continue;
    worker.gone = true;
    const std::string reason = fmt::format("{} has been silent for {:.0f} s; it was last in phase {} of step {}",
                                           title(worker.member), silence, phase_name(worker.phase), worker.step);
    actions.emplace_back(event("worker_lost", &worker, reason));
    // It is told too, should it only have been asleep.
    actions.emplace_back(Send{.to = worker.member.uuid, .body = Stop{.exit_code = 1, .reason = reason}});
    return stop({.exit_code = 1, .reason = reason}, now, actions);
  }
}

void Membership::check_progress(Time now, Actions& actions) {
  const double limit = std::max(limits_.hang, 5 * longest_step_s_);
  const double standstill = seconds(now - last_step_);
  if (standstill <= limit) return;
  const Worker* stuck = nullptr;    // with nobody to wait for
  const Worker* culprit = nullptr;  // the one furthest behind among those that do not wait
  const Worker* present = nullptr;
  bool all_idle = true;
  const auto behind = [](const Worker& worker, const Worker* other) {
    return other == nullptr || worker.step < other->step;
  };
  for (const auto& [rank, worker] : workers_) {
    if (worker.gone) continue;
    if (present == nullptr) present = &worker;
    const bool idle = seconds(now - worker.moved) > limit;
    all_idle = all_idle && idle;
    if (idle && needs_nobody(worker.phase) && behind(worker, stuck)) stuck = &worker;
    if (!waits_for_others(worker.phase) && behind(worker, culprit)) culprit = &worker;
  }
  if (stuck != nullptr) culprit = stuck;
  if (stuck == nullptr && !all_idle) return;
  if (present == nullptr) return;
  const std::string reason =
      culprit != nullptr
          ? fmt::format("{} hangs: no step was completed for {:.0f} s and it is in phase {} of step {}",
                        title(culprit->member), standstill, phase_name(culprit->phase), culprit->step)
          : fmt::format("the run hangs: no step was completed for {:.0f} s and every worker waits at step {}",
                        standstill, present->step);
  actions.emplace_back(event("hang", culprit, reason));
  stop({.exit_code = 1, .reason = reason}, now, actions);
}

void Membership::stop(Outcome outcome, Time now, Actions& actions) {
  if (state_ == State::kStopping) return;
  state_ = State::kStopping;
  cause_.reset();
  stopping_since_ = now;
  stopping_with_ = std::move(outcome);
  actions.emplace_back(event("run_stopped", nullptr, stopping_with_.reason));
  const Stop message{.exit_code = stopping_with_.exit_code, .reason = stopping_with_.reason};
  for (const Uuid& worker : workers()) actions.emplace_back(Send{.to = worker, .body = message});
  for (const Uuid& agent : agents_) actions.emplace_back(Send{.to = agent, .body = message});
}

std::string Membership::after_checkpoint(const std::string& reason) const {
  return fmt::format("{} after step {}, of which there is a checkpoint; run `{} resume {}` to go on", reason,
                     checkpoint_step_, past_.program, past_.run_directory);
}

void Membership::wish_to_stop(std::string reason, Time now, Actions& actions) {
  if (state_ == State::kStopping || wish_) return;
  if (!final_reported_ && (state_ == State::kGathering || reported_step_ == checkpoint_step_)) {
    const bool lasting = checkpoint_step_ > 0;
    return stop({.exit_code = lasting ? kExitStopped : 1, .reason = lasting ? after_checkpoint(reason) : reason}, now,
                actions);
  }
  wish_ = std::move(reason);
  wish_since_ = now;
  actions.emplace_back(event("stop_requested", nullptr, *wish_));
  for (const Uuid& worker : workers()) actions.emplace_back(Send{.to = worker, .body = FinishStep{.reason = *wish_}});
  for (const Uuid& agent : agents_) actions.emplace_back(Send{.to = agent, .body = FinishStep{.reason = *wish_}});
}

// Who was asked to finish its step and does not is not waited for for ever; a checkpoint takes the time it takes.
void Membership::check_wish(Time now, Actions& actions) {
  const double limit = std::max(limits_.hang, 5 * longest_step_s_);
  if (!wish_ || seconds(now - wish_since_) <= limit) return;
  for (const auto& [rank, worker] : workers_) {
    if (!worker.gone && worker.phase == Phase::kCheckpointing) return;
  }
  if (checkpoint_step_ > 0 && checkpoint_step_ == reported_step_)
    return stop({.exit_code = kExitStopped, .reason = after_checkpoint(*wish_)}, now, actions);
  stop({.exit_code = 1,
        .reason = fmt::format(
            "{} after step {}, and no checkpoint was written within {:g} s{}", *wish_, reported_step_, limit,
            checkpoint_step_ > 0 ? fmt::format("; the last one is of step {}", checkpoint_step_) : "")},
       now, actions);
}

// Takes the steps that follow from what just changed: a cause that is due, the end of the run.
void Membership::conclude(Time now, Actions& actions) {
  if (outcome_) return;
  if (cause_ && cause_->due <= now) stop(cause_->outcome, now, actions);
  const bool all_gone = workers().empty();
  if (state_ == State::kRunning && all_gone && !cause_ && !stopped_where_.empty()) {
    outcome_ = Outcome{.exit_code = kExitStopped, .reason = fmt::format("{} {}", *wish_, stopped_where_)};
    actions.emplace_back(event("run_stopped", nullptr, outcome_->reason));
    for (const Uuid& agent : agents_)
      actions.emplace_back(Send{.to = agent, .body = Stop{.exit_code = kExitStopped, .reason = outcome_->reason}});
    return;
  }
  if (state_ == State::kRunning && all_gone && !cause_) {
    outcome_ = final_reported_ ? Outcome{.exit_code = 0, .reason = ""}
                               : Outcome{.exit_code = 1, .reason = "all workers left before the run was complete"};
    actions.emplace_back(event(final_reported_ ? "run_finished" : "run_stopped", nullptr, outcome_->reason));
  }
  const double grace = std::max(limits_.stop_grace, 2 * longest_step_s_);
  if (state_ == State::kStopping && (all_gone || seconds(now - stopping_since_) > grace)) outcome_ = stopping_with_;
}

// Rank 0's report of a step means that every worker took part in it; heartbeats lag behind.
std::int64_t Membership::step_of(const Worker& worker) const { return std::max(worker.step, reported_step_); }

std::string Membership::position_of(const Worker& worker) const {
  const std::int64_t step = step_of(worker);
  return step > 0 ? fmt::format("at step {}", step) : "before step 1";
}

Event Membership::event(std::string kind, const Worker* worker, std::string detail) const {
  return {.kind = std::move(kind),
          .worker = worker != nullptr ? std::optional(worker->member.uuid) : std::nullopt,
          .rank = worker != nullptr ? worker->member.rank : -1,
          .ballot = ballot_,
          .step = worker != nullptr ? step_of(*worker) : reported_step_,
          .detail = std::move(detail)};
}

}  // namespace convoy::scheduler
