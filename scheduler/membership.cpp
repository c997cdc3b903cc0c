// What comes in.
#include "scheduler/membership.h"

#include <algorithm>
#include <type_traits>

#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/signals.h"

namespace convoy::scheduler {

namespace {

using namespace cluster;

// The run's exit code after a worker that ended with `worker_exit_code`: wrong usage stays wrong usage.
int run_exit_code(std::int32_t worker_exit_code) { return worker_exit_code == 2 ? 2 : 1; }

EpochOptions epoch_options(const MembershipOptions& options) {
  // One step more than the run's: its final report. Nobody is let go before that is on disk.
  return {.world = options.world, .min_workers = options.min_workers, .steps = options.steps + 1};
}

EpochPast epoch_past(const Past& past) {
  EpochPast out;
  if (past.restarted) out = past_of(past.journal);
  out.term = past.term;
  out.checkpoint_step = std::max(out.checkpoint_step, past.step);
  return out;
}

}  // namespace

Membership::Membership(const MembershipOptions& options, Past past, Time now)
    : options_(options),
      past_(std::move(past)),
      start_(now),
      epochs_(epoch_options(options), epoch_past(past_)),
      watch_(options.limits.suspect, options.limits.hang, now),
      last_plan_(epochs_.epoch()),
      reported_step_(past_.restarted ? std::max(past_.recorded_step, past_.step) : past_.step),
      checkpoint_step_(epoch_past(past_).checkpoint_step),
      final_recorded_(past_.restarted && past_.final_recorded),
      final_since_(now),
      stopping_since_(now),
      wish_since_(now) {
  if (options.world < 1) fail(ErrorCode::kInvalidArgument, "a run of {} workers, expected at least 1", options.world);
}

std::optional<std::int32_t> Membership::number_of(const Uuid& uuid) const {
  const Worker* worker = roster_.find(uuid);
  return worker == nullptr ? std::nullopt : std::optional(worker->member.rank);
}

bool Membership::may_report(const Message& message) const {
  if (saver_ == message.sender) return true;
  const auto& epoch = epochs_.epoch();
  return epoch && message.ballot == epoch->ballot && message.sender == epoch->members.front();
}

std::vector<Uuid> Membership::workers() const {
  std::vector<Uuid> found;
  for (const Worker* worker : roster_.present()) found.push_back(worker->member.uuid);
  return found;
}

std::vector<Uuid> Membership::connections() const {
  std::vector<Uuid> found = workers();
  for (const Uuid& agent : roster_.agents()) found.push_back(agent);
  return found;
}

// Messages about a process itself (it registers, leaves, ended) hold whatever ballot it has heard of; messages about
// the work belong to one epoch.
Actions Membership::on_message(const Message& message, Time now) {
  Actions actions;
  Worker* worker = roster_.find(message.sender);
  if (worker != nullptr) {
    worker->heard = now;
    worker->silent = false;
  }
  const bool decides = ending_ == Ending::kNone && options_.rebuilds;
  std::visit(
      [&](const auto& body) {
        using Kind = std::decay_t<decltype(body)>;
        if constexpr (std::is_same_v<Kind, Register>) {
          receive(message.sender, body, now, actions);
        } else if constexpr (std::is_same_v<Kind, RegisterAgent>) {
          roster_.add_agent(message.sender, body);
          if (wish_) send(message.sender, FinishStep{.reason = *wish_}, actions);
        } else if constexpr (std::is_same_v<Kind, WorkerEnded>) {
          receive(message.sender, body, now, actions);
        } else if constexpr (std::is_same_v<Kind, StopRequest>) {
          if (wish_)
            send(message.sender, FinishStep{.reason = *wish_}, actions);  // it says it again until it hears this
          wish_to_stop(body.reason, now, actions);
        } else if constexpr (std::is_same_v<Kind, Leave>) {
          if (worker != nullptr) receive(*worker, body, now, actions);
        } else if constexpr (std::is_same_v<Kind, Heartbeat>) {
          if (worker == nullptr || worker->excluded) return;
          if (message.ballot == epoch_ballot() || !is_member(message.sender)) watch_.heartbeat(*worker, body, now);
          feed_progress(message.sender, message.ballot, body.applied, now, actions);
        } else if constexpr (std::is_same_v<Kind, StepReport>) {
          if (may_report(message)) receive(message, body, now, actions);
        } else if constexpr (std::is_same_v<Kind, EventReport>) {
          if (body.kind != "checkpoint" || worker == nullptr) return;
          checkpoint_step_ = std::max(checkpoint_step_, body.step);
          if (ending_ == Ending::kNone) feed(epochs_.on_checkpoint(body.step), now, actions);
          if (saver_ == message.sender) on_saved(now, actions);
        } else if constexpr (std::is_same_v<Kind, Ready>) {
          if (decides) feed(epochs_.on_ready(message.sender), now, actions);
        } else if constexpr (std::is_same_v<Kind, SealAnswer>) {
          if (ending_ == Ending::kNone) feed(epochs_.on_answer(message.sender, message.ballot, body), now, actions);
        } else if constexpr (std::is_same_v<Kind, PeersLost>) {
          if (!decides) return;
          feed_departed(now, actions);
          feed(epochs_.on_peers_lost(message.sender, message.ballot), now, actions);
        }
      },
      message.body);
  conclude(now, actions);
  return actions;
}

Actions Membership::on_tick(Time now) {
  Actions actions;
  const std::vector<Worker*> everybody = roster_.all();
  watch_.on_tick(everybody, now);
  if (ending_ == Ending::kNone) {
    fire_timers(now, actions);
    check_start(now, actions);
    check_silence(now, actions);
    check_hang(now, actions);
    check_excluding(now, actions);
    check_wish(now, actions);
  }
  check_saving(now, actions);
  check_leaving(now);
  conclude(now, actions);
  return actions;
}

std::optional<Time> Membership::next_due() const {
  std::optional<Time> due = cause_ ? cause_->due : std::nullopt;
  for (const auto& [time, timer] : timers_) due = due ? std::min(*due, time) : time;
  return due;
}

Actions Membership::on_final_recorded(Time now) {
  Actions actions;
  final_recorded_ = true;
  final_since_ = now;
  if (epochs_.epoch()) {
    const std::vector<Uuid> told = epochs_.epoch()->members;
    for (const Uuid& member : told) feed_progress(member, epoch_ballot(), options_.steps, now, actions);
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

// --- who comes

std::optional<std::string> Membership::objection(const Register& message) const {
  if (message.rank < -1 || message.rank >= options_.world)
    return fmt::format("rank {} is outside of this run of {} workers", message.rank, options_.world);
  if (message.rank >= 0) {
    if (const Worker* owner = roster_.owner(message.rank))
      return fmt::format("rank {} is taken by pid {} on {}", message.rank, owner->member.pid, owner->member.host);
  }
  if (ending_ == Ending::kStopping) return fmt::format("the run is stopping: {}", stopping_with_.reason);
  if (ending_ == Ending::kSaving) return fmt::format("the run is stopping: {}", saving_for_);
  if (final_recorded_) return "the run is complete";
  if (!options_.rebuilds && !gathering())
    return "the run has begun, and its engine (mpi) cannot take in workers while it goes on";
  const auto present = std::ssize(roster_.present());
  if (options_.max_workers > 0 && present >= options_.max_workers)
    return fmt::format("the run has {} workers already, as many as train.logical_shards allows", present);
  return std::nullopt;
}

void Membership::receive(const Uuid& sender, const Register& message, Time now, Actions& actions) {
  Worker* worker = roster_.find(sender);
  const bool took_part = message.standing.entered != Ballot{};
  if (worker == nullptr && (!took_part || ending_ != Ending::kNone)) {
    if (const auto reason = objection(message)) return refuse(sender, message, *reason, actions);
  }
  if (ending_ == Ending::kStopping)
    return send(sender, Stop{.exit_code = stopping_with_.exit_code, .reason = stopping_with_.reason}, actions);

  // Compared before it counts: what differs never takes part.
  if (!fingerprint_) fingerprint_ = {std::max(message.rank, 0), message.fingerprint};
  if (const auto difference = message.fingerprint.difference(fingerprint_->second); worker == nullptr && difference) {
    const std::string who = message.rank >= 0 ? title(message.rank, message.pid)
                                              : fmt::format("the worker of pid {} on {}", message.pid, message.host);
    const std::string reason = fmt::format("{} differs from worker {} in {}", who, fingerprint_->first, *difference);
    refuse(sender, message, reason, actions);
    if (gathering()) stop({.exit_code = 1, .reason = reason}, now, actions);
    return;
  }

  const bool is_new = worker == nullptr;
  const bool returns = !is_new && !worker->connected;
  const bool starts = gathering();
  const bool has_number = worker != nullptr && worker->numbered;
  const std::int32_t number = message.rank >= 0 ? message.rank
                              : has_number      ? worker->member.rank
                                                : roster_.next_number(options_.world);
  worker = &roster_.add({.uuid = sender,
                         .rank = number,
                         .host = message.host,
                         .pid = message.pid,
                         .meeting_place = message.meeting_place,
                         .donor = message.donor});
  worker->numbered = true;
  worker->connected = true;
  worker->heard = worker->moved = now;
  const auto awaited = std::find_if(replaced_.begin(), replaced_.end(), [&](const auto& one) {
    return one.first.first == message.host && one.second == message.rank;
  });
  if (is_new && awaited != replaced_.end()) replaced_.erase(awaited);
  if (is_new || returns) {
    actions.emplace_back(event(is_new ? "worker_joined" : "worker_reconnected", worker,
                               fmt::format("pid {} on {}", message.pid, message.host)));
  }
  feed(epochs_.on_registered(sender, number, message.standing), now, actions);
  if (worker->excluded || ending_ != Ending::kNone) return;
  if (!starts && !took_part && !is_member(sender)) {
    Copy copy;
    if (epochs_.epoch()) copy.donors = message_of(*epochs_.epoch()).members;
    send(sender, std::move(copy), actions);
  }
  if (wish_) send(sender, FinishStep{.reason = *wish_}, actions);
}

void Membership::refuse(const Uuid& sender, const Register& message, std::string reason, Actions& actions) {
  refused_.insert({message.host, message.pid});
  actions.emplace_back(Event{.kind = "worker_refused",
                             .worker = sender,
                             .rank = message.rank,
                             .ballot = epoch_ballot(),
                             .step = reported_step_,
                             .detail = reason});
  send(sender, Refuse{.reason = std::move(reason)}, actions);
}

// --- how they do

void Membership::receive(const Message& message, const StepReport& report, Time now, Actions& actions) {
  reported_step_ = std::max(reported_step_, report.step);
  // One that was committed under an older epoch is sent again, and says nothing of how this one does.
  if (report.ballot != Ballot{} && report.ballot != message.ballot) return;
  watch_.step_done(report, now);
  feed_progress(message.sender, message.ballot, report.step, now, actions);
}

void Membership::check_start(Time now, Actions& actions) {
  if (!gathering() || seconds(now - start_) <= options_.limits.start_timeout) return;
  std::string missing;
  std::int32_t count = 0;
  for (std::int32_t rank = 0; rank < options_.world; ++rank) {
    if (roster_.owner(rank) != nullptr) continue;
    missing += fmt::format("{}{}", count == 0 ? "" : ", ", rank);
    ++count;
  }
  stop({.exit_code = 1,
        .reason = fmt::format("{} of {} workers {} not registered after {:g} s: {} {}", count, options_.world,
                              count == 1 ? "has" : "have", options_.limits.start_timeout, count == 1 ? "rank" : "ranks",
                              missing)},
       now, actions);
}

void Membership::check_silence(Time now, Actions& actions) {
  if (epochs_.state() != Epochs::State::kRunning || final_recorded_) return;
  for (Worker* worker : watch_.silent(members(), now)) {
    worker->silent = true;
    worker->trouble =
        fmt::format("{} has been silent for {:.0f} s; it was last in phase {} of step {}", title(worker->member),
                    seconds(now - worker->heard), phase_name(worker->phase), worker->step);
    actions.emplace_back(event("worker_silent", worker, worker->trouble));
    if (!options_.rebuilds) {
      worker->connected = false;
      // It is told too, should it only have been asleep.
      send(worker->member.uuid, Stop{.exit_code = 1, .reason = worker->trouble}, actions);
      return stop({.exit_code = 1, .reason = worker->trouble}, now, actions);
    }
    feed(epochs_.on_lost(worker->member.uuid, Loss::kSilent), now, actions);
  }
}

void Membership::check_hang(Time now, Actions& actions) {
  if (ending_ != Ending::kNone || final_recorded_) return;
  if (epochs_.state() == Epochs::State::kRunning) {
    const std::optional<Hang> hang = watch_.hang(members(), now);
    if (hang) {
      actions.emplace_back(event("hang", hang->culprit, hang->reason));
      const bool again = hang->culprit == nullptr && last_standstill_ == reported_step_;
      if (!options_.rebuilds || again) return stop({.exit_code = 1, .reason = hang->reason}, now, actions);
      if (hang->culprit == nullptr) {
        // Something is lost between them: communicators made anew may help, and who does not answer is the culprit.
        last_standstill_ = reported_step_;
        const EpochPlan epoch = *epochs_.epoch();
        return feed(epochs_.on_peers_lost(epoch.members.front(), epoch.ballot), now, actions);
      }
      hang->culprit->trouble = hang->reason;
      lose(*hang->culprit, Loss::kHung,
           {.strength = Strength::kEnded,
            .worker = hang->culprit->member.uuid,
            .outcome = {.exit_code = 1, .reason = hang->reason},
            .due = {}},
           now, actions);
    }
  }
  if (!options_.rebuilds || gathering()) return;
  // Who is not a member yet keeps nobody waiting, but its place.
  for (Worker* worker : roster_.all()) {
    if (!worker->present() || worker->excluded || is_member(worker->member.uuid) || !watch_.is_mute(*worker, now))
      continue;
    worker->trouble = fmt::format("{} has been silent for {:.0f} s while it joined", title(worker->member),
                                  seconds(now - worker->heard));
    feed(epochs_.on_lost(worker->member.uuid, Loss::kHung), now, actions);
  }
}

// --- who is lost

void Membership::receive(Worker& worker, const Leave& message, Time now, Actions& actions) {
  if (worker.leave) return;
  worker.leave = message;
  worker.step = std::max(worker.step, message.step);
  actions.emplace_back(
      event("worker_left", &worker,
            fmt::format("exit code {}{}{}", message.exit_code, message.reason.empty() ? "" : ": ", message.reason)));
  // Its own words are better than what was seen of it from outside.
  if (cause_ && cause_->worker == worker.member.uuid && cause_->strength < Strength::kKilled) cause_.reset();

  if (ending_ == Ending::kSaving && saver_ == worker.member.uuid) {
    if (message.exit_code == kExitStopped) return on_saved(now, actions);
    return ask_next_holder(now, actions);
  }
  // The scheduler that was told of a wish may not be this one.
  if (message.exit_code == kExitStopped && ending_ == Ending::kNone && !wish_) {
    wish_ = "stopped";
    wish_since_ = now;
  }
  if (wish_ && message.exit_code == kExitStopped) {
    if (!message.reason.empty()) stopped_where_ = message.reason;
    return;
  }
  if (ending_ != Ending::kNone || final_recorded_) return;
  const bool starting = gathering();
  if (message.exit_code == 0 && !starting && !options_.rebuilds) return;
  const std::string what = message.exit_code == 0   ? (starting ? "left before the run began" : "left before its end")
                           : message.reason.empty() ? "gave up without a reason"
                                                    : message.reason;
  Cause cause{.strength = Strength::kGaveUp,
              .worker = worker.member.uuid,
              .outcome = {.exit_code = run_exit_code(message.exit_code),
                          .reason = fmt::format("worker {}: {}", worker.member.rank, what)},
              .due = {}};
  worker.trouble = cause.outcome.reason;
  // It may be the death of another that made it give up; wrong input is always its own affair.
  if (message.ends_run || message.exit_code == 2) {
    cause.due = now;
  } else if (starting || !options_.rebuilds) {
    cause.due = after(now, options_.limits.settle);
  }
  add_cause(std::move(cause));
  // The rest follows once its process has ended. Nobody tells of that where its connection is all there is.
  if (worker.ended && options_.rebuilds) tell_lost(worker, "gave up", what, actions);
}

void Membership::receive(const Uuid& agent, const WorkerEnded& message, Time now, Actions& actions) {
  const ExitStatus status{.exit_code = message.exit_code, .signal = message.signal};
  const std::string host = roster_.host_of_agent(agent).value_or("");
  // An agent that changes its mind says so again.
  replaced_.erase({host, message.pid});
  if (message.replaced) replaced_[{host, message.pid}] = message.rank;

  Worker* worker = roster_.find(agent, message);
  const bool killed = message.signal != 0;
  Cause cause{.strength = killed ? Strength::kKilled : Strength::kEnded,
              .worker = {},
              .outcome = {.exit_code = killed ? 1 : run_exit_code(message.exit_code), .reason = ""},
              .due = {}};
  const bool needed = (gathering() && !message.replaced) || !options_.rebuilds;
  const bool wrong_input = !killed && message.exit_code == 2;
  if (needed || wrong_input)
    cause.due = killed ? now : after(now, options_.limits.settle);  // it may overtake its Leave

  if (worker == nullptr) {
    if (refused_.contains({host, message.pid})) return;  // its end changes nothing
    cause.outcome.reason =
        fmt::format("{} {} before it registered", title(message.rank, message.pid), describe_exit(status));
    if (ending_ == Ending::kStopping && !killed) return;  // it did as it was told
    if (told_ends_.insert({host, message.pid}).second) {
      Event lost = event("worker_lost", nullptr, cause.outcome.reason);
      lost.rank = message.rank;
      actions.emplace_back(std::move(lost));
    }
    if (gathering() && cause.due) add_cause(std::move(cause));
    return hurry_if_nobody_comes(now, actions);
  }
  if (worker->ended) return hurry_if_nobody_comes(now, actions);
  if (!worker->numbered && message.rank >= 0) worker->member.rank = message.rank;
  // As it was asked to; its own words are on their way.
  if (wish_ && !worker->leave && message.exit_code == kExitStopped && !killed) {
    worker->exited_as_wished = true;
    return;
  }
  worker->ended = true;
  worker->connected = false;
  const bool left_as_wished = worker->leave && wish_ && worker->leave->exit_code == kExitStopped;
  const bool left_as_told = worker->leave && (ending_ != Ending::kNone || final_recorded_);
  if (left_as_told || (left_as_wished && !worker->told_lost)) return;
  if (ending_ == Ending::kStopping && !killed) return;  // it did as it was told

  cause.worker = worker->member.uuid;
  if (worker->leave) {
    // Its words are on record; now it is gone.
    tell_lost(*worker, "gave up", worker->leave->reason, actions);
    if (ending_ == Ending::kNone && !final_recorded_ && options_.rebuilds)
      feed(epochs_.on_lost(worker->member.uuid, Loss::kEnded), now, actions);
    if (needed && !cause_) {
      cause.outcome.reason = worker->trouble;
      add_cause(std::move(cause));
    }
    return hurry_if_nobody_comes(now, actions);
  }
  const std::string how = describe_exit(status);
  cause.outcome.reason = fmt::format("{} {} {}", title(worker->member), how, position_of(*worker));
  tell_lost(*worker, how, "", actions);
  lose(*worker, Loss::kEnded, std::move(cause), now, actions);
}

Actions Membership::on_closed(const Uuid& connection, Time now) {
  Actions actions;
  if (roster_.lose_agent(connection)) {
    lose_agent(*roster_.host_of_agent(connection), now, actions);
    conclude(now, actions);
    return actions;
  }
  Worker* worker = roster_.find(connection);
  if (worker == nullptr || !worker->connected) return actions;
  worker->connected = false;
  // Where no agent tells of its end, this does.
  const bool gone = worker->exited_as_wished || !roster_.has_parent(*worker) || roster_.may_be_orphan(*worker);
  worker->ended = worker->ended || gone;
  const bool left_as_wished =
      worker->exited_as_wished || (worker->leave && wish_ && worker->leave->exit_code == kExitStopped);
  const bool over = final_recorded_ || ending_ == Ending::kStopping;
  if (left_as_wished || over || (worker->leave && !options_.rebuilds)) {
    conclude(now, actions);
    return actions;
  }
  const std::string reason = fmt::format("{} closed its connection {}", title(worker->member), position_of(*worker));
  if (worker->trouble.empty()) worker->trouble = reason;
  if (gone && worker->leave) tell_lost(*worker, "gave up", worker->leave->reason, actions);
  if (gone) tell_lost(*worker, "closed its connection", "", actions);
  Cause cause{.strength = Strength::kClosed,
              .worker = worker->member.uuid,
              .outcome = {.exit_code = 1, .reason = reason},
              .due = {}};
  if ((gathering() && gone) || !options_.rebuilds) cause.due = after(now, options_.limits.settle);
  lose(*worker, gone ? Loss::kEnded : Loss::kClosed, std::move(cause), now, actions);
  conclude(now, actions);
  return actions;
}

void Membership::lose_agent(const std::string& host, Time now, Actions& actions) {
  if (ending_ != Ending::kNone || final_recorded_) return;
  const bool node = roster_.agents_of(host).empty();
  bool parented = false;
  for (Worker* worker : roster_.all()) {
    if (worker->member.host != host || worker->ended || worker->leave || (!node && worker->connected)) continue;
    if (!roster_.may_be_orphan(*worker)) continue;
    parented = true;
    worker->ended = true;
    worker->connected = false;
    const std::string how = fmt::format("was lost with the agent of its host {}", host);
    const std::string reason = fmt::format("{} {} {}", title(worker->member), how, position_of(*worker));
    tell_lost(*worker, how, "", actions);
    Cause cause{.strength = Strength::kClosed,
                .worker = worker->member.uuid,
                .outcome = {.exit_code = 1, .reason = reason},
                .due = {}};
    if (gathering() || !options_.rebuilds) cause.due = after(now, options_.limits.settle);
    lose(*worker, Loss::kNodeLost, std::move(cause), now, actions);
  }
  if (parented) actions.emplace_back(event("agent_lost", nullptr, fmt::format("the agent of host {} is gone", host)));
  std::erase_if(replaced_, [&](const auto& one) { return node && one.first.first == host; });
  hurry_if_nobody_comes(now, actions);
}

void Membership::lose(Worker& worker, Loss loss, Cause cause, Time now, Actions& actions) {
  if (ending_ == Ending::kSaving && saver_ == worker.member.uuid) return ask_next_holder(now, actions);
  if (ending_ != Ending::kNone || final_recorded_) return;
  add_cause(std::move(cause));
  if (!options_.rebuilds) return;
  feed_departed(now, actions);
  feed(epochs_.on_lost(worker.member.uuid, loss), now, actions);
  hurry_if_nobody_comes(now, actions);
}

// Says so where people look, once.
void Membership::tell_lost(Worker& worker, const std::string& how, const std::string& why, Actions& actions) {
  if (std::exchange(worker.told_lost, true)) return;
  const std::string because = why.empty() ? "" : ": " + why;
  actions.emplace_back(event("worker_lost", &worker,
                             fmt::format("{} {} {}{}", title(worker.member), how, position_of(worker), because)));
  if (!worker.excluded)  // that was told
    tell_user_lost(worker, fmt::format("{} {}{}", title(worker.member), how, because), actions);
}

void Membership::tell_user_lost(const Worker& worker, const std::string& what, Actions& actions) {
  if (ending_ != Ending::kNone || final_recorded_ || !options_.rebuilds || !is_member(worker.member.uuid)) return;
  std::int64_t left = 0;
  for (const Worker* member : members()) {
    if (member != &worker && member->present() && !member->excluded) ++left;
  }
  if (left == 0 && replaced_.empty()) return;  // the end of the run says it
  actions.emplace_back(Tell{fmt::format("step {}: {}; {}", step_of(worker), what,
                                        left == 0   ? "the run waits for workers to come"
                                        : left == 1 ? "1 worker goes on"
                                                    : fmt::format("{} workers go on", left))});
}

// --- small things

std::int64_t Membership::step_of(const Worker& worker) const { return std::max(worker.step, reported_step_); }

std::string Membership::position_of(const Worker& worker) const {
  const std::int64_t step = step_of(worker);
  return step > 0 ? fmt::format("at step {}", step) : "before step 1";
}

Ballot Membership::epoch_ballot() const {
  return epochs_.epoch() ? epochs_.epoch()->ballot : Ballot{.term = past_.term, .attempt = 0};
}

Event Membership::event(std::string kind, const Worker* worker, std::string detail) const {
  return {.kind = std::move(kind),
          .worker = worker != nullptr ? std::optional(worker->member.uuid) : std::nullopt,
          .rank = worker != nullptr ? worker->member.rank : -1,
          .ballot = epoch_ballot(),
          .step = worker != nullptr ? step_of(*worker) : reported_step_,
          .detail = std::move(detail)};
}

void Membership::append(JournalRecord record, Actions& actions) { actions.emplace_back(Append{std::move(record)}); }

void Membership::send(const Uuid& to, Body body, Actions& actions) const {
  actions.emplace_back(Send{.to = to, .body = std::move(body), .ballot = ballot()});
}

void Membership::send_agents(const Body& body, Actions& actions) const {
  for (const Uuid& agent : roster_.agents()) send(agent, body, actions);
}

}  // namespace convoy::scheduler
