// Who is lost, how that is known, and what is said of it.
#include <algorithm>

#include "core/base/exit_code.h"
#include "core/base/signals.h"
#include "scheduler/membership.h"

namespace convoy::scheduler {

namespace {

using namespace cluster;

// After so long without a word, in seconds, a connection ends by itself; a process that dies was heard a heartbeat ago.
constexpr double kBrokenLine = 3.0;

// The run's exit code after a worker that ended with `worker_exit_code`: wrong usage stays wrong usage.
int run_exit_code(std::int32_t worker_exit_code) { return worker_exit_code == 2 ? 2 : 1; }

}  // namespace

void Membership::receive(Worker& worker, const Leave& message, Time now, Actions& actions) {
  if (worker.leave) return;
  worker.leave = message;
  worker.step = std::max(worker.step, message.step);
  actions.emplace_back(
      event("worker_left", &worker,
            fmt::format("exit code {}{}{}", message.exit_code, message.reason.empty() ? "" : ": ", message.reason)));
  // Its own words are better than what was seen of it from outside.
  if (cause_ && cause_->worker == worker.member.uuid && cause_->strength < Strength::kKilled) cause_.reset();

  // Nobody else can tell of its end, and its connection, of which nothing is sent any more, may seem to stand for long.
  // It has stopped training before it says this.
  if (worker.excluded && !roster_.has_parent(worker) && ending_ == Ending::kNone) {
    worker.ended = true;
    tell_lost(worker, "left", message.reason, actions);
    feed(epochs_.on_lost(worker.member.uuid, Loss::kEnded), now, actions);
    return;
  }

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

  if (worker == nullptr) return receive_unregistered(host, message, std::move(cause), now, actions);
  if (!worker->numbered && message.rank >= 0) worker->member.rank = message.rank;
  note_replaced(host, message, worker->member.rank);
  if (worker->ended) return hurry_if_nobody_comes(now, actions);
  // As it was asked to. Whoever asked may have been the scheduler before this one, and its words went there.
  if (past_.restarted && !worker->connected && !worker->leave && message.exit_code == kExitStopped && !killed &&
      ending_ == Ending::kNone && !final_recorded_) {
    if (!wish_) wish_since_ = now;
    if (!wish_) wish_ = "stopped";
    worker->exited_as_wished = worker->ended = true;
    return;
  }
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
  // Told of by a scheduler before this one, and made good since.
  if (past_.restarted && worker->told_lost && !is_member(worker->member.uuid)) {
    feed(epochs_.on_lost(worker->member.uuid, Loss::kEnded), now, actions);
    return hurry_if_nobody_comes(now, actions);
  }

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

// An agent that changes its mind says so again.
void Membership::note_replaced(const std::string& host, const WorkerEnded& message, std::int32_t number) {
  replaced_.erase({host, message.pid});
  if (message.replaced) replaced_[{host, message.pid}] = number;
}

void Membership::receive_unregistered(const std::string& host, const WorkerEnded& message, Cause cause, Time now,
                                      Actions& actions) {
  const std::pair process(host, message.pid);
  if (refused_.contains(process)) return;  // its end changes nothing
  const std::string how =
      unregistered_detail(message.pid, describe_exit({.exit_code = message.exit_code, .signal = message.signal}));
  const auto told_before = past_.known.unregistered.find(how);
  const auto told = told_ends_.find(process);
  const std::int32_t number = message.rank >= 0                               ? message.rank
                              : told != told_ends_.end()                      ? told->second
                              : told_before != past_.known.unregistered.end() ? told_before->second
                                                                              : new_number();
  note_replaced(host, message, number);
  cause.outcome.reason = fmt::format("worker {} {}", number, how);
  if (ending_ == Ending::kStopping && message.signal == 0) return;  // it did as it was told
  if (told_ends_.emplace(process, number).second && told_before == past_.known.unregistered.end()) {
    Event lost = event("worker_lost", nullptr, cause.outcome.reason);
    lost.rank = number;
    actions.emplace_back(std::move(lost));
  }
  if (gathering() && cause.due) add_cause(std::move(cause));
  hurry_if_nobody_comes(now, actions);
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
  // Nobody closed it: it broke after a silence. While steps are done with the worker it is only the scheduler that does
  // not hear it, and the worker looks for the scheduler. (The connection will be found closed again until it is back.)
  const bool silent_before = seconds(now - worker->heard) > kBrokenLine;
  const bool leaves = worker->leave || worker->exited_as_wished;
  if (silent_before && !leaves && options_.rebuilds && ending_ == Ending::kNone && epochs_.members_work() &&
      is_member(connection) && watch_.steps_go_on(now))
    return actions;
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

}  // namespace convoy::scheduler
