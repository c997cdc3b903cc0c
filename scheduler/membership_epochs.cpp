// What Epochs wants done, in terms of processes, hosts, seconds and messages.
#include <algorithm>

#include "core/base/exit_code.h"
#include "scheduler/membership.h"

namespace convoy::scheduler {

namespace {

using namespace cluster;

// In seconds.
constexpr double kAnswers = 0.5;      // at least: a worker in the middle of an update finishes that first
constexpr double kAnswerPoll = 0.05;  // between looks at who is slow to answer
constexpr double kAdmission = 5.0;    // at least
constexpr double kRepeat = 0.5;       // between orders to kill, and between announcements
constexpr double kKill = 10.0;        // at least, to be killed and reaped in

std::string count_of(std::size_t workers) { return fmt::format("{} worker{}", workers, workers == 1 ? "" : "s"); }

}  // namespace

Actions Membership::start(Time now) {
  Actions actions;
  if (!past_.restarted) return actions;
  // Whom the journal knows, though none of them has come back yet.
  for (const JournalRecord& record : past_.journal) {
    if (const auto* epoch = std::get_if<EpochRecord>(&record)) {
      for (const Member& member : epoch->epoch.members) roster_.add(member);
    } else if (const auto* quarantine = std::get_if<QuarantineRecord>(&record)) {
      if (roster_.find(quarantine->worker) != nullptr) continue;
      Member member;
      member.uuid = quarantine->worker;
      member.host = quarantine->host;
      member.pid = quarantine->pid;
      roster_.add(member);
    }
  }
  recall_workers();
  for (const std::string& damage : past_.damage) {
    if (past_.known.damage.contains(damage)) continue;  // an earlier start has told
    actions.emplace_back(event("journal_damaged", nullptr, damage));
    actions.emplace_back(Tell{"warning: " + damage});
  }
  actions.emplace_back(
      event("scheduler_restarted", nullptr,
            restarted_detail(past_.term, epochs_.epoch()
                                             ? fmt::format(" goes on with epoch {} of {}", epoch_ballot().to_string(),
                                                           count_of(epochs_.epoch()->members.size()))
                                             : "; no epoch is on record")));
  feed(epochs_.start(), now, actions);
  return actions;
}

// What the journal does not say of them.
void Membership::recall_workers() {
  for (const KnownWorker& known : past_.known.workers) {
    Worker* worker = roster_.find(known.uuid);
    if (worker == nullptr) {
      Member member;
      member.uuid = known.uuid;
      member.host = known.host;
      member.pid = known.pid;
      worker = &roster_.add(member);
    }
    worker->member.rank = known.number;
    worker->numbered = true;
    worker->told_lost = known.told_lost;
    worker->told_excluded = known.told_excluded;
  }
}

// What comes of carrying out an action is carried out behind the rest.
void Membership::feed(EpochActions decided, Time now, Actions& actions) {
  if (!decided.empty()) decided_.push_back(std::move(decided));
  if (std::exchange(carrying_out_, true)) return;
  while (!decided_.empty()) {
    const EpochActions next = std::move(decided_.front());
    decided_.erase(decided_.begin());
    for (const EpochAction& action : next) {
      std::visit([&](const auto& one) { carry_out(one, now, actions); }, action);
    }
  }
  carrying_out_ = false;
}

void Membership::carry_out(const SendSeal& action, Time, Actions& actions) {
  actions.emplace_back(Send{.to = action.to, .body = action.seal, .ballot = action.ballot});
}

void Membership::carry_out(const SendEpoch& action, Time, Actions& actions) {
  actions.emplace_back(Send{.to = action.to, .body = message_of(action.epoch), .ballot = action.epoch.ballot});
}

void Membership::carry_out(const Kill& action, Time now, Actions& actions) {
  Worker* worker = roster_.find(action.worker);
  if (worker == nullptr) return;  // Epochs was told of nobody else
  const Member member = worker->member;
  const std::string reason = worker->trouble.empty() ? "it takes part no more" : worker->trouble;
  worker->excluded = true;
  if (!std::exchange(worker->told_excluded, true)) {
    actions.emplace_back(event("worker_excluded", worker, reason));
    tell_user_lost(*worker, reason, actions);
  }
  const Exclude order{.worker = member.uuid, .rank = member.rank, .pid = member.pid, .reason = reason};
  if (worker->connected) send(member.uuid, order, actions);
  for (const Uuid& agent : roster_.agents_at(member.host)) send(agent, order, actions);
  // Without a line to it, and nobody who would tell of its end, it is as good as dead: it hears nothing and is heard by
  // nobody. Agents, too, need a while to find a scheduler that was started anew.
  const bool may_come_back = past_.restarted && seconds(now - start_) < kReconnect;
  if (!worker->connected && !roster_.has_parent(*worker) && !may_come_back) {
    worker->ended = true;
    feed(epochs_.on_lost(member.uuid, Loss::kEnded), now, actions);
  }
}

void Membership::carry_out(const JournalPlan& action, Time now, Actions& actions) {
  const EpochPlan& plan = action.epoch;
  append(EpochRecord{.ballot = plan.ballot, .epoch = message_of(plan)}, actions);
  Event begun = event("epoch", nullptr, description_of(plan));
  begun.ballot = plan.ballot;
  begun.step = plan.resume_step;
  actions.emplace_back(std::move(begun));
  if (const std::string newcomers = newcomers_of(plan); !newcomers.empty()) actions.emplace_back(Tell{newcomers});
  last_plan_ = plan;
  if (cause_ && !cause_->due) cause_.reset();
  wish_since_ = now;
  watch_.begin(members(), now);
}

void Membership::carry_out(const JournalQuarantine& action, Time, Actions& actions) {
  Worker* worker = roster_.find(action.worker);
  QuarantineRecord record{.worker = action.worker, .reason = action.reason, .host = {}, .pid = 0};
  if (worker != nullptr) {
    if (worker->trouble.empty()) worker->trouble = fmt::format("{}: {}", title(worker->member), action.reason);
    record.reason = worker->trouble;
    record.host = worker->member.host;
    record.pid = worker->member.pid;
  }
  append(std::move(record), actions);
}

void Membership::carry_out(const JournalCheckpoint& action, Time, Actions& actions) {
  append(CheckpointRecord{.step = action.step}, actions);
}

void Membership::carry_out(const SetTimer& action, Time now, Actions&) {
  timers_.emplace_back(after(now, duration_of(action.timer.kind, now)), action.timer);
}

void Membership::carry_out(const Withdrawn& action, Time, Actions&) {
  for (Worker* worker : roster_.all()) {
    if (!action.worker.is_nil() && worker->member.uuid != action.worker) continue;
    worker->silent = false;
    if (!worker->excluded && worker->connected) worker->trouble.clear();
  }
}

// Every member was told that the final report is on disk, and nobody needs another any more.
void Membership::carry_out(const Release&, Time, Actions&) { timers_.clear(); }

void Membership::carry_out(const GiveUp& action, Time now, Actions& actions) {
  if (ending_ != Ending::kNone || final_recorded_) return;
  if (action.why == GiveUp::Why::kDiverged) {
    return stop({.exit_code = 1,
                 .reason = fmt::format("the workers' copies of the state after step {} differ, and no majority says "
                                       "which is right{}",
                                       action.step, go_on())},
                now, actions);
  }
  const std::string cause = cause_ ? cause_->outcome.reason : "";
  if (wish_) return save(action.holders, cause.empty() ? *wish_ : fmt::format("{}; {}", *wish_, cause), now, actions);
  if (action.holders.empty()) {
    return stop(without_workers(cause.empty() ? "all workers are lost" : "all workers are lost: " + cause), now,
                actions);
  }
  const std::string too_few =
      fmt::format("{} of at least {} workers {} left and none came for {:g} s", action.holders.size(),
                  options_.min_workers, action.holders.size() == 1 ? "is" : "are", options_.limits.too_few);
  save(action.holders, cause.empty() ? too_few : fmt::format("{}; {}", cause, too_few), now, actions);
}

Epoch Membership::message_of(const EpochPlan& plan) const {
  Epoch message{.members = {},
                .resume_step = plan.resume_step,
                .donors = plan.donors,
                .chain = plan.chain,
                .previous_chain = plan.previous_chain};
  for (const Uuid& uuid : plan.members) {
    const Worker* worker = roster_.find(uuid);
    Member member;
    if (worker != nullptr) member = worker->member;
    member.uuid = uuid;
    member.rank = static_cast<std::int32_t>(message.members.size());
    message.members.push_back(std::move(member));
  }
  return message;
}

// "3 workers, from step 17, donors 0, 2"
std::string Membership::description_of(const EpochPlan& plan) const {
  const std::string workers = count_of(plan.members.size());
  if (plan.donors.empty() && plan.resume_step == 0) return workers;
  if (plan.donors.empty()) return fmt::format("{}, from the checkpoint of step {}", workers, plan.resume_step);
  std::vector<std::int32_t> donors;
  for (const Uuid& donor : plan.donors) donors.push_back(number_of(donor).value_or(-1));
  return fmt::format("{}, from step {}, donors {}", workers, plan.resume_step, fmt::join(donors, ", "));
}

// "step 21: worker 1 (pid 4711) joined; 3 workers"; empty where nobody is new.
std::string Membership::newcomers_of(const EpochPlan& plan) const {
  if (!last_plan_) return "";
  std::vector<std::string> names;
  for (const Uuid& uuid : plan.members) {
    const Worker* worker = roster_.find(uuid);
    const auto& before = last_plan_->members;
    if (worker == nullptr || std::find(before.begin(), before.end(), uuid) != before.end()) continue;
    names.push_back(title(worker->member));
  }
  if (names.empty()) return "";
  return fmt::format("step {}: {} joined; {}", plan.resume_step, fmt::join(names, ", "), count_of(plan.members.size()));
}

double Membership::duration_of(Timer::Kind kind, Time now) const {
  switch (kind) {
    case Timer::Kind::kAnswers:
      return std::max(kAnswers, watch_.long_step_s());
    case Timer::Kind::kReconnect:
      return kReconnect;
    case Timer::Kind::kAdmission:
      return std::max(kAdmission, 3 * watch_.long_step_s() + 1);
    case Timer::Kind::kReaped:
    case Timer::Kind::kAnnounce:
      return kRepeat;
    case Timer::Kind::kSuspicion:
      return 0.0;  // nobody is called silent before it has been so for too long, with no step done
    case Timer::Kind::kTooFew:
      return nobody_comes(now) ? 0.0 : options_.limits.too_few;
  }
  return 0.0;
}

// A member that the scheduler hears is only slow. Until it hangs, better to wait for it than to do without it.
bool Membership::may_answer_yet(const Timer& timer, Time now) const {
  const bool of_answers = timer.kind == Timer::Kind::kAnswers || timer.kind == Timer::Kind::kReconnect;
  if (!of_answers || timer.ballot != epochs_.round()) return false;
  const std::vector<Uuid> awaited = epochs_.awaited();
  return std::any_of(awaited.begin(), awaited.end(), [&](const Uuid& uuid) {
    const Worker* worker = roster_.find(uuid);
    return worker != nullptr && worker->connected && is_member(uuid) && !watch_.is_silent(*worker, now);
  });
}

void Membership::fire_timers(Time now, Actions& actions) {
  std::vector<Timer> due;
  std::erase_if(timers_, [&](auto& entry) {
    if (entry.first > now) return false;
    if (may_answer_yet(entry.second, now)) {
      entry.first = after(now, kAnswerPoll);
      return false;
    }
    due.push_back(entry.second);
    return true;
  });
  for (const Timer& timer : due) feed(epochs_.on_timer(timer), now, actions);
}

// Who neither answers nor dies holds everybody up: for as long as a hang may last.
void Membership::check_answers(Time now, Actions& actions) {
  const std::vector<Uuid> awaited =
      epochs_.admits() || ending_ != Ending::kNone ? std::vector<Uuid>{} : epochs_.awaited();
  for (Worker* worker : roster_.all()) {
    if (std::find(awaited.begin(), awaited.end(), worker->member.uuid) == awaited.end()) {
      worker->awaited_since.reset();
      continue;
    }
    if (!worker->awaited_since) worker->awaited_since = now;
    const double waited = seconds(now - *worker->awaited_since);
    if (waited <= watch_.limit_s()) continue;
    worker->trouble = fmt::format("{} hangs: it has not answered for {:.0f} s, and was last heard of {:.0f} s ago",
                                  title(worker->member), waited, seconds(now - worker->heard));
    lose(*worker, Loss::kHung,
         {.strength = Strength::kEnded,
          .worker = worker->member.uuid,
          .outcome = {.exit_code = 1, .reason = worker->trouble},
          .due = {}},
         now, actions);
  }
}

// Killing takes a moment. Where it does not succeed at all no epoch may begin: the dead and the living would share it.
void Membership::check_excluding(Time now, Actions& actions) {
  if (epochs_.state() != Epochs::State::kExcluding || ending_ != Ending::kNone) return excluding_since_.reset();
  if (!excluding_since_) excluding_since_ = now;
  const double limit = std::max(watch_.limit_s(), kKill);
  if (seconds(now - *excluding_since_) <= limit) return;
  for (const Worker* worker : roster_.all()) {
    if (!worker->excluded || worker->ended) continue;
    return stop(without_workers(fmt::format("{}, and its process on {} could not be killed within {:g} s",
                                            worker->trouble, worker->member.host, limit)),
                now, actions);
  }
}

void Membership::feed_progress(const Uuid& worker, const Ballot& ballot, std::int64_t applied, Time now,
                               Actions& actions) {
  if (ending_ != Ending::kNone) return;
  feed(epochs_.on_progress(worker, ballot, final_recorded_ ? options_.steps + 1 : std::min(applied, options_.steps)),
       now, actions);
}

// Who finished its step and left, as a signal asked it to, is not missed, unless others must agree on an epoch.
void Membership::feed_departed(Time now, Actions& actions) {
  if (!wish_) return;
  for (Worker* worker : roster_.all()) {
    const bool left = worker->leave && worker->leave->exit_code == kExitStopped;
    const bool gone = worker->exited_as_wished && worker->ended;
    if ((!left && !gone) || std::exchange(worker->told_lost, true)) continue;
    feed(epochs_.on_lost(worker->member.uuid, worker->ended ? Loss::kEnded : Loss::kClosed), now, actions);
  }
}

bool Membership::nobody_comes(Time now) const { return nobody_is_left(now) && replaced_.empty(); }

void Membership::hurry_if_nobody_comes(Time now, Actions& actions) {
  if (ending_ == Ending::kNone && epochs_.state() == Epochs::State::kWaiting && nobody_comes(now))
    feed(epochs_.on_timer({.kind = Timer::Kind::kTooFew, .ballot = epochs_.round()}), now, actions);
}

std::vector<Worker*> Membership::members() {
  std::vector<Worker*> found;
  if (!epochs_.epoch()) return found;
  for (const Uuid& uuid : epochs_.epoch()->members) {
    if (Worker* worker = roster_.find(uuid)) found.push_back(worker);
  }
  return found;
}

bool Membership::is_member(const Uuid& worker) const {
  if (!epochs_.epoch()) return false;
  const std::vector<Uuid>& members = epochs_.epoch()->members;
  return std::find(members.begin(), members.end(), worker) != members.end();
}

}  // namespace convoy::scheduler
