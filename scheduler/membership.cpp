// What comes in.
#include "scheduler/membership.h"

#include <algorithm>
#include <type_traits>

#include "cluster/fit.h"
#include "core/base/error.h"

namespace convoy::scheduler {

namespace {

using namespace cluster;

EpochOptions epoch_options(const MembershipOptions& options) {
  // One step more than the run's: its final report. Nobody is let go before that is on disk.
  return {.world = options.world, .min_workers = options.min_workers, .steps = options.steps + 1};
}

// The journal lost it. Nobody has entered it under this ballot, so that everybody is asked where they stand.
std::optional<EpochPlan> epoch_of(const KnownWorkers& known) {
  EpochPlan plan{.ballot = {.term = known.first_term, .attempt = 0}, .members = {}, .donors = {}};
  for (const KnownWorker& worker : known.workers) {
    if (!worker.told_lost && !worker.told_excluded && !worker.left) plan.members.push_back(worker.uuid);
  }
  return plan.members.empty() ? std::nullopt : std::optional(plan);
}

EpochPast epoch_past(const Past& past) {
  EpochPast out;
  if (past.restarted) out = past_of(past.journal);
  if (past.restarted && past.known.begun && !out.epoch) out.epoch = epoch_of(past.known);
  out.term = past.term;
  out.checkpoint_step = std::max({out.checkpoint_step, past.step, past.checkpoint_step});
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
  if (!epoch) return false;
  // On its way when the epoch was agreed on, which goes on from that step or a later one.
  const auto* report = std::get_if<StepReport>(&message.body);
  if (report != nullptr && report->step <= epoch->resume_step) return is_member(message.sender);
  const auto* evaluation = std::get_if<EvalReport>(&message.body);
  if (evaluation != nullptr && evaluation->step <= epoch->resume_step) return is_member(message.sender);
  return message.ballot == epoch->ballot && message.sender == epoch->members.front();
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
          receive_wish(message.sender, body, now, actions);
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
          // A run that is about to stop lets nobody in, unless nobody else is left to do so.
          const bool stops = wish_ && epochs_.state() == Epochs::State::kRunning;
          if (decides && !stops) feed(epochs_.on_ready(message.sender), now, actions);
        } else if constexpr (std::is_same_v<Kind, SealAnswer>) {
          if (worker != nullptr) worker->awaited_since.reset();
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
    receive_early(now, actions);
    fire_timers(now, actions);
    check_start(now, actions);
    check_silence(now, actions);
    check_hang(now, actions);
    check_answers(now, actions);
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
    if (auto reason = objection(message)) return refuse(sender, message, *std::move(reason), actions);
  }
  if (ending_ == Ending::kStopping)
    return send(sender, Stop{.exit_code = stopping_with_.exit_code, .reason = stopping_with_.reason}, actions);

  // Compared before it counts: what differs never takes part.
  if (worker == nullptr && refuse_misfit(sender, message, now, actions)) return;
  if (!fingerprint_) {
    const bool decides = worker != nullptr || took_part || !past_.restarted || gathering();
    if (!decides && seconds(now - start_) < kReconnect) return early_.emplace_back(sender, message), void();
    fingerprint_ = message.fingerprint;
  }

  const bool is_new = worker == nullptr;
  const bool returns = !is_new && !worker->connected;
  const bool starts = gathering();
  const bool has_number = worker != nullptr && worker->numbered;
  // Launchers number the workers to begin with, and whoever replaces them.
  const auto awaited = std::ranges::find_if(replaced_, [&](const auto& one) {
    const bool same = message.rank >= 0 ? one.second == message.rank : one.second >= options_.world;
    return is_new && one.first.first == message.host && same;
  });
  const std::int32_t number = message.rank >= 0            ? message.rank
                              : has_number                 ? worker->member.rank
                              : awaited != replaced_.end() ? awaited->second
                                                           : new_number();
  if (awaited != replaced_.end()) replaced_.erase(awaited);
  worker = &roster_.add({.uuid = sender,
                         .rank = number,
                         .host = message.host,
                         .pid = message.pid,
                         .meeting_place = message.meeting_place,
                         .donor = message.donor});
  worker->numbered = true;
  worker->connected = true;
  worker->heard = worker->moved = now;
  if (is_new || returns) {
    actions.emplace_back(
        event(is_new ? "worker_joined" : "worker_reconnected", worker, joined_detail(message.pid, message.host)));
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

void Membership::refuse(const Uuid& sender, const Register& message, std::string reason, Actions& actions,
                        const std::string& who) {
  refused_.insert({message.host, message.pid});
  actions.emplace_back(Event{.kind = "worker_refused",
                             .worker = sender,
                             .rank = message.rank,
                             .ballot = epoch_ballot(),
                             .step = reported_step_,
                             .detail = who + reason});
  send(sender, Refuse{.reason = std::move(reason)}, actions);
}

// Several that were started together say the same of themselves.
bool Membership::refuse_misfit(const Uuid& sender, const Register& message, Time now, Actions& actions) {
  const auto what = fingerprint_ ? misfit(message.fingerprint, *fingerprint_) : std::nullopt;
  if (!what) return false;
  if (gathering()) {
    const std::string reason =
        fmt::format("{} does not fit the run: {}", title(std::max(message.rank, 0), message.pid), *what);
    refuse(sender, message, reason, actions);
    stop({.exit_code = 2, .reason = reason}, now, actions);
  } else {
    refuse(sender, message, fmt::format("this worker does not fit the run: {}", *what), actions,
           fmt::format("pid {} on {}: ", message.pid, message.host));
  }
  return true;
}

// Who registers with a scheduler that was started anew may be the first, and is not the one to say what the run's
// recipe is.
void Membership::receive_early(Time now, Actions& actions) {
  if (early_.empty() || (!fingerprint_ && seconds(now - start_) < kReconnect)) return;
  for (const auto& [sender, message] : std::exchange(early_, {})) receive(sender, message, now, actions);
}

std::int32_t Membership::new_number() const {
  std::int32_t number = roster_.next_number(options_.world);
  for (const auto& [process, taken] : told_ends_) number = std::max(number, taken + 1);
  return number;
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
  if (!gathering()) return;
  for (const Worker* worker : roster_.all()) {
    // Nobody would tell of its end.
    if (!past_.restarted || worker->connected || worker->told_lost || roster_.has_parent(*worker)) continue;
    if (seconds(now - start_) <= kReconnect) continue;
    return stop({.exit_code = 1,
                 .reason = fmt::format("{} did not come back within {:g} s after the scheduler was started anew",
                                       title(worker->member), kReconnect)},
                now, actions);
  }
  if (seconds(now - start_) <= options_.limits.start_timeout) return;
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
  // While a joiner comes in, too: it may take its time, those whom it waits for may not.
  if (epochs_.members_work()) {
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
