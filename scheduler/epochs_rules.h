// What BasicEpochs does, for whoever instantiates it: epochs.cpp with all the rules, and the search of the protocol's
// states, which leaves rules out.
#pragma once

#include <algorithm>
#include <map>
#include <utility>

#include "cluster/chain.h"
#include "scheduler/epochs.h"
#include "scheduler/reachable.h"

namespace convoy::scheduler {

template <class Rules>
BasicEpochs<Rules>::BasicEpochs(const EpochOptions& options, const EpochPast& past)
    : options_(options),
      ballot_{.term = past.term, .attempt = 0},
      epoch_(past.epoch),
      checkpoint_step_(past.checkpoint_step) {
  const auto add = [&](const Uuid& uuid, Role role) {
    if (find(uuid) != nullptr) return;
    Worker worker;
    worker.uuid = uuid;
    worker.role = role;
    workers_.push_back(std::move(worker));
  };
  for (const Uuid& uuid : past.quarantined) add(uuid, Role::kExcluded);
  if (!epoch_) return;
  for (const Uuid& uuid : epoch_->members) add(uuid, Role::kMember);
  std::sort(workers_.begin(), workers_.end(), [](const Worker& a, const Worker& b) { return a.uuid < b.uuid; });
}

template <class Rules>
EpochActions BasicEpochs<Rules>::start() {
  if (!epoch_) return take();
  for (const Worker& worker : workers_) {
    if (worker.role == Role::kExcluded) actions_.emplace_back(Kill{.worker = worker.uuid});
  }
  if (Rules::restart_seals) {
    seal(Timer::Kind::kReconnect, {.at_step = -1, .keep = epoch_->ballot});
  } else {
    ++ballot_.attempt;
    proposal_ = *epoch_;
    proposal_.ballot = ballot_;
    if (proposal_.donors.empty()) proposal_.donors = proposal_.members;
    announce_if_reaped();
  }
  return take();
}

// --- what comes in

template <class Rules>
EpochActions BasicEpochs<Rules>::on_registered(const Uuid& uuid, std::int32_t order,
                                               const cluster::Standing& standing) {
  if (Worker* worker = find(uuid)) {
    if (worker->role == Role::kExcluded) {
      actions_.emplace_back(Kill{.worker = uuid});
      return take();
    }
    worker->lost = false;
    worker->order = order;
    if (state_ == State::kSealing && worker->invited && !worker->answer) {
      actions_.emplace_back(SendSeal{.to = uuid, .ballot = ballot_, .seal = seal_});
    } else if (worker->role == Role::kMember &&
               (state_ == State::kWaiting || (state_ == State::kSealing && !worker->invited))) {
      seal();
    } else if (worker->role == Role::kMember && state_ == State::kRunning && !worker->entered) {
      send_epoch(*worker);
    }
    return take();
  }
  // It took part in this run, but not in the last epoch: it was left out for good. (An epoch later than the last on
  // record means that the record lost its end.)
  const bool took_part = standing.entered != Ballot{};
  if (took_part && epoch_ && standing.entered <= epoch_->ballot) {
    actions_.emplace_back(Kill{.worker = uuid});
    return take();
  }
  Worker worker;
  worker.uuid = uuid;
  worker.order = order;
  worker.role = took_part ? Role::kMember : Role::kCandidate;
  worker.ready = took_part || state_ == State::kGathering;
  const auto behind = std::find_if(workers_.begin(), workers_.end(), [&](const Worker& w) { return uuid < w.uuid; });
  workers_.insert(behind, std::move(worker));
  const bool complete = state_ == State::kGathering && std::ssize(workers_) >= options_.world;
  if (complete || state_ == State::kWaiting || (took_part && state_ == State::kSealing)) seal();
  return take();
}

template <class Rules>
EpochActions BasicEpochs<Rules>::on_ready(const Uuid& uuid) {
  Worker* worker = find(uuid);
  if (worker == nullptr || worker->role != Role::kCandidate) return take();
  worker->ready = true;
  worker->lost = false;
  if (state_ == State::kWaiting) seal();
  admit();
  return take();
}

template <class Rules>
EpochActions BasicEpochs<Rules>::on_lost(const Uuid& uuid, Loss loss) {
  Worker* worker = find(uuid);
  if (worker == nullptr || worker->ended || state_ == State::kOver) return take();
  if (loss == Loss::kSilent) {
    // Only suspected: its peers may complete steps with it, and then it is the line to the scheduler that is broken.
    if (worker->role != Role::kMember || state_ != State::kRunning || worker->silent_since) return take();
    worker->silent_since = furthest();
    set_timer(Timer::Kind::kSuspicion);
    return take();
  }
  if (loss == Loss::kEnded || loss == Loss::kNodeLost) worker->ended = true;
  if (worker->role == Role::kExcluded) {
    if (state_ == State::kExcluding) announce_if_reaped();
    return take();
  }
  const bool was_member = worker->role == Role::kMember;
  const bool was_invited = std::exchange(worker->invited, false);
  worker->lost = true;
  if (loss == Loss::kHung) exclude(*worker, "it hangs");
  if (!was_member && worker->ended) workers_.erase(workers_.begin() + (worker - workers_.data()));

  if (state_ == State::kRunning && was_member) {
    seal();
  } else if (state_ == State::kSealing && was_invited) {
    if (was_member && seal_.at_step >= 0) {
      seal();  // the others cannot finish their steps
    } else {
      decide_if_all_answered();
    }
  } else if (state_ == State::kExcluding && is_member_of(proposal_, uuid)) {
    seal();
  }
  return take();
}

template <class Rules>
EpochActions BasicEpochs<Rules>::on_answer(const Uuid& uuid, const Ballot& ballot, const cluster::SealAnswer& answer) {
  Worker* worker = find(uuid);
  if (worker == nullptr || !worker->present()) return take();
  if (state_ == State::kSealing && ballot == ballot_ && worker->invited) {
    if (worker->answer) return take();
    worker->answer = answer;
    decide_if_all_answered();
  } else if (worker->role == Role::kCandidate && worker->lost) {
    worker->lost = false;  // it was only slow
    admit();
  }
  return take();
}

template <class Rules>
EpochActions BasicEpochs<Rules>::on_peers_lost(const Uuid& uuid, const Ballot& ballot) {
  const Worker* worker = find(uuid);
  const bool current = worker != nullptr && worker->role == Role::kMember && epoch_ && ballot == epoch_->ballot;
  const bool goes_on =
      state_ == State::kRunning || (state_ == State::kSealing && (seal_.at_step >= 0 || seal_.keep != Ballot{}));
  if (current && goes_on) seal();
  return take();
}

template <class Rules>
EpochActions BasicEpochs<Rules>::on_progress(const Uuid& uuid, const Ballot& ballot, std::int64_t applied) {
  Worker* worker = find(uuid);
  if (worker == nullptr || worker->role != Role::kMember || !epoch_ || ballot != epoch_->ballot) return take();
  if (state_ != State::kRunning && !(state_ == State::kSealing && seal_.at_step >= 0)) return take();
  worker->entered = true;
  worker->applied = std::max(worker->applied, applied);
  for (Worker& other : workers_) {
    if (!other.silent_since || worker->applied <= *other.silent_since) continue;
    other.silent_since.reset();
    actions_.emplace_back(Withdrawn{.worker = other.uuid});
  }
  release_if_done();
  admit();
  return take();
}

template <class Rules>
EpochActions BasicEpochs<Rules>::on_checkpoint(std::int64_t step) {
  if (step > checkpoint_step_) {
    checkpoint_step_ = step;
    actions_.emplace_back(JournalCheckpoint{.step = step});
  }
  return take();
}

template <class Rules>
EpochActions BasicEpochs<Rules>::on_timer(const Timer& timer) {
  const bool of_this_round = timer.ballot == ballot_;
  switch (timer.kind) {
    case Timer::Kind::kAnswers:
    case Timer::Kind::kReconnect:
    case Timer::Kind::kAdmission: {
      if (state_ != State::kSealing || !of_this_round || timer.kind != patience_) break;
      const Workers silent = chosen([](const Worker& worker) { return worker.invited && !worker.answer; });
      const bool members =
          std::any_of(silent.begin(), silent.end(), [](const Worker* worker) { return worker->role == Role::kMember; });
      if (members && timer.kind == Timer::Kind::kAdmission) {
        seal();
        break;
      }
      for (Worker* worker : silent) {
        worker->invited = false;
        worker->lost = true;
      }
      decide();
      break;
    }
    case Timer::Kind::kReaped:
      if (state_ != State::kExcluding || !of_this_round) break;
      for (const Worker& worker : workers_) {
        if (worker.role == Role::kExcluded && !worker.ended) actions_.emplace_back(Kill{.worker = worker.uuid});
      }
      set_timer(Timer::Kind::kReaped);
      break;
    case Timer::Kind::kAnnounce: {
      if (state_ != State::kRunning || timer.ballot != epoch_->ballot) break;
      const Workers outside =
          chosen([](const Worker& worker) { return worker.role == Role::kMember && !worker.entered; });
      for (const Worker* worker : outside) send_epoch(*worker);
      if (!outside.empty()) actions_.emplace_back(SetTimer{.timer = timer});
      break;
    }
    case Timer::Kind::kSuspicion:
      if (state_ == State::kRunning && of_this_round &&
          std::any_of(workers_.begin(), workers_.end(),
                      [](const Worker& worker) { return worker.silent_since.has_value(); }))
        seal();
      break;
    case Timer::Kind::kTooFew: {
      if (state_ != State::kWaiting || !of_this_round) break;
      GiveUp end{.why = GiveUp::Why::kTooFewWorkers, .holders = {}, .step = proposal_.resume_step};
      for (const Worker& worker : workers_) {
        if (worker.present() && worker.answer && worker.answer->standing.has_state &&
            worker.answer->standing.applied == end.step)
          end.holders.push_back(worker.uuid);
      }
      state_ = State::kOver;
      actions_.emplace_back(std::move(end));
      break;
    }
  }
  return take();
}

// --- a round

template <class Rules>
void BasicEpochs<Rules>::seal(Timer::Kind patience, const cluster::Seal& seal) {
  state_ = State::kSealing;
  ++ballot_.attempt;
  patience_ = patience;
  seal_ = seal;
  const auto may_come = [](const Worker& worker) { return worker.present() && !worker.lost; };
  std::int32_t count = 0;
  for (Worker& worker : workers_) {
    worker.answer.reset();
    worker.silent_since.reset();
    worker.invited = may_come(worker) && (worker.role == Role::kMember || worker.ready);
    if (worker.invited) ++count;
  }
  // Better one who has to copy the state while all wait than no run.
  if (count < options_.min_workers) {
    for (Worker& worker : workers_) worker.invited = may_come(worker);
  }
  const Workers guests = invited();
  for (const Worker* worker : guests)
    actions_.emplace_back(SendSeal{.to = worker->uuid, .ballot = ballot_, .seal = seal_});
  if (guests.empty()) {
    decide();
  } else {
    set_timer(patience);
  }
}

template <class Rules>
void BasicEpochs<Rules>::decide_if_all_answered() {
  const Workers guests = invited();
  if (std::all_of(guests.begin(), guests.end(), [](const Worker* worker) { return worker->answer.has_value(); }))
    decide();
}

template <class Rules>
void BasicEpochs<Rules>::decide() {
  const Workers answered = chosen([](const Worker& worker) { return worker.invited && worker.answer; });
  if (std::any_of(answered.begin(), answered.end(), [](const Worker* worker) { return worker->answer->kept; }))
    return adopt(answered);

  Workers kept;
  EpochPlan plan;
  if (!choose(answered, kept, plan)) {
    state_ = State::kOver;
    actions_.emplace_back(GiveUp{.why = GiveUp::Why::kDiverged, .holders = {}, .step = plan.resume_step});
    return;
  }
  const auto left_out = [&](const Worker& worker) {
    return worker.present() &&
           std::none_of(kept.begin(), kept.end(), [&](const Worker* one) { return one->uuid == worker.uuid; });
  };
  const Workers others = chosen([&](const Worker& worker) { return worker.role == Role::kMember && left_out(worker); });
  const bool too_few = kept.empty() || std::ssize(kept) < options_.min_workers;
  const bool no_holder = Rules::epoch_needs_holder && plan.donors.empty();
  // The others may be alive, and hold what is missing here.
  const bool others_help = (no_holder && !others.empty()) || (too_few && !chosen(left_out).empty());
  if (others_help) return withdraw();
  for (Worker* worker : others) exclude(*worker, "it does not answer, or cannot reach the others");
  proposal_ = std::move(plan);
  if (too_few) return wait();
  announce_if_reaped();
}

// After a restart of the scheduler: when every member works under the epoch on record, or has sealed it, there is
// nothing to decide. Else those who do are sealed, too.
template <class Rules>
void BasicEpochs<Rules>::adopt(const Workers& answered) {
  const bool all = std::all_of(epoch_->members.begin(), epoch_->members.end(), [&](const Uuid& member) {
    const Worker* worker = find(member);
    return worker->role == Role::kMember && !worker->ended && worker->invited && worker->answer &&
           worker->answer->kept && worker->answer->unreachable.empty();
  });
  if (!all) return seal();
  state_ = State::kRunning;
  for (Worker* worker : answered) {
    if (worker->role != Role::kMember) continue;
    worker->entered = worker->answer->standing.entered == epoch_->ballot;
    worker->applied = worker->entered ? worker->answer->standing.applied : 0;
    if (!worker->entered) send_epoch(*worker);
  }
  actions_.emplace_back(SetTimer{{.kind = Timer::Kind::kAnnounce, .ballot = epoch_->ballot}});
  release_if_done();
  admit();
}

// Who of those that answered goes on, and from where. False: those who hold the state differ, and nobody can say who
// is right.
template <class Rules>
bool BasicEpochs<Rules>::choose(const Workers& answered, Workers& kept, EpochPlan& plan) const {
  plan.ballot = ballot_;
  plan.resume_step = checkpoint_step_;
  plan.chain = plan.previous_chain = cluster::chain_from(checkpoint_step_);

  // What a joiner copied counts where no member is left.
  const auto holds = [](const Worker* worker, Role role) {
    return worker->answer->standing.has_state && worker->role == role;
  };
  Role role = Role::kCandidate;
  for (const Worker* worker : answered) {
    if (holds(worker, Role::kMember)) role = Role::kMember;
  }
  std::vector<bool> needed(answered.size());
  std::vector<std::pair<std::size_t, std::size_t>> broken;
  for (std::size_t i = 0; i < answered.size(); ++i) {
    needed[i] = holds(answered[i], role);
    for (std::size_t j = 0; j < answered.size(); ++j) {
      const std::vector<Uuid>& unreachable = answered[i]->answer->unreachable;
      if (std::find(unreachable.begin(), unreachable.end(), answered[j]->uuid) != unreachable.end())
        broken.emplace_back(i, j);
    }
  }
  for (const std::size_t i : largest_mutually_reachable(answered.size(), broken, needed)) kept.push_back(answered[i]);

  std::map<std::uint64_t, std::vector<Uuid>> by_chain;  // of those that are furthest
  for (const Worker* worker : kept) {
    if (!holds(worker, role)) continue;
    const cluster::Standing& standing = worker->answer->standing;
    if (by_chain.empty() || standing.applied > plan.resume_step) {
      by_chain.clear();
      plan.resume_step = standing.applied;
    }
    if (standing.applied < plan.resume_step) continue;
    by_chain[standing.chain].push_back(worker->uuid);
  }
  for (const auto& [chain, holders] : by_chain) {
    if (holders.size() <= plan.donors.size()) continue;
    plan.donors = holders;
    plan.chain = chain;
  }
  for (const auto& [chain, holders] : by_chain) {
    if (chain != plan.chain && holders.size() == plan.donors.size()) return false;
  }
  if (!by_chain.empty()) {
    const auto donor = std::find_if(kept.begin(), kept.end(),
                                    [&](const Worker* worker) { return worker->uuid == plan.donors.front(); });
    plan.previous_chain = (*donor)->answer->standing.previous_chain;
    // A member whose past is another one has gone wrong, and does so again.
    std::erase_if(kept, [&](const Worker* worker) {
      if (!holds(worker, Role::kMember)) return false;
      const cluster::Standing& standing = worker->answer->standing;
      return (standing.applied == plan.resume_step && standing.chain != plan.chain) ||
             (standing.applied + 1 == plan.resume_step && standing.chain != plan.previous_chain);
    });
  } else if (!Rules::epoch_needs_holder && epoch_) {
    plan.resume_step = epoch_->resume_step;
    plan.donors = epoch_->members;
    plan.chain = epoch_->chain;
  }

  const auto rank = [&](const Worker* worker) {
    if (!epoch_) return std::ptrdiff_t{0};
    return std::find(epoch_->members.begin(), epoch_->members.end(), worker->uuid) - epoch_->members.begin();
  };
  Workers in_order = kept;
  std::stable_sort(in_order.begin(), in_order.end(), [&](const Worker* a, const Worker* b) {
    return std::pair(rank(a), a->order) < std::pair(rank(b), b->order);
  });
  for (const Worker* worker : in_order) plan.members.push_back(worker->uuid);
  return true;
}

template <class Rules>
void BasicEpochs<Rules>::withdraw() {
  actions_.emplace_back(Withdrawn{});
  for (Worker& worker : workers_) worker.lost = false;
  seal();
}

template <class Rules>
void BasicEpochs<Rules>::exclude(Worker& worker, std::string reason) {
  worker.role = Role::kExcluded;
  worker.invited = false;
  worker.answer.reset();
  if (worker.ended) return;
  actions_.emplace_back(JournalQuarantine{.worker = worker.uuid, .reason = std::move(reason)});
  actions_.emplace_back(Kill{.worker = worker.uuid});
}

template <class Rules>
void BasicEpochs<Rules>::announce_if_reaped() {
  const bool alive = std::any_of(workers_.begin(), workers_.end(),
                                 [](const Worker& worker) { return worker.role == Role::kExcluded && !worker.ended; });
  if (Rules::kill_before_epoch && alive) {
    if (std::exchange(state_, State::kExcluding) != State::kExcluding) set_timer(Timer::Kind::kReaped);
    return;
  }
  state_ = State::kRunning;
  epoch_ = proposal_;
  actions_.emplace_back(JournalPlan{.epoch = *epoch_});
  for (Worker& worker : workers_) {
    worker.invited = worker.entered = false;
    const auto answer = std::exchange(worker.answer, std::nullopt);
    if (is_member_of(*epoch_, worker.uuid)) {
      worker.role = Role::kMember;
      // Who is not where the epoch goes on says itself when it has got there.
      const bool behind = !answer || !answer->standing.has_state || answer->standing.applied > epoch_->resume_step;
      worker.applied = behind ? 0 : answer->standing.applied;
      send_epoch(worker);
    } else if (worker.role == Role::kMember) {
      worker.role = Role::kExcluded;  // it is dead
    }
  }
  actions_.emplace_back(SetTimer{{.kind = Timer::Kind::kAnnounce, .ballot = epoch_->ballot}});
}

// A joiner that is ready comes in at a step that all members have yet to do, so that nothing is done twice.
template <class Rules>
void BasicEpochs<Rules>::admit() {
  if (state_ != State::kRunning) return;
  bool comes = false;
  for (const Worker& worker : workers_) {
    comes = comes || (worker.role == Role::kCandidate && worker.ready && !worker.lost);
    if (worker.role == Role::kMember && !worker.entered) return;
  }
  const std::int64_t step = furthest() + options_.admission_margin;
  if (comes && step < options_.steps) seal(Timer::Kind::kAdmission, {.at_step = step, .keep = {}});
}

template <class Rules>
void BasicEpochs<Rules>::wait() {
  state_ = State::kWaiting;
  set_timer(Timer::Kind::kTooFew);
}

template <class Rules>
void BasicEpochs<Rules>::release_if_done() {
  for (const Worker& worker : workers_) {
    if (worker.role == Role::kMember && (!worker.entered || worker.applied < options_.steps)) return;
  }
  state_ = State::kOver;
  actions_.emplace_back(Release{});
}

template <class Rules>
typename BasicEpochs<Rules>::Worker* BasicEpochs<Rules>::find(const Uuid& uuid) {
  const auto found =
      std::find_if(workers_.begin(), workers_.end(), [&](const Worker& worker) { return worker.uuid == uuid; });
  return found == workers_.end() ? nullptr : &*found;
}

template <class Rules>
std::vector<Uuid> BasicEpochs<Rules>::awaited() const {
  std::vector<Uuid> found;
  if (state_ != State::kSealing) return found;
  for (const Worker& worker : workers_) {
    if (worker.invited && !worker.answer) found.push_back(worker.uuid);
  }
  return found;
}

template <class Rules>
bool BasicEpochs<Rules>::excluded(const Uuid& uuid) const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [&](const Worker& worker) { return worker.uuid == uuid && worker.role == Role::kExcluded; });
}

template <class Rules>
bool BasicEpochs<Rules>::members_work() const {
  if (state_ == State::kRunning) return true;
  return state_ == State::kSealing && seal_.at_step >= 0 &&
         std::any_of(workers_.begin(), workers_.end(), [](const Worker& worker) {
           return worker.role == Role::kMember && worker.invited && !worker.answer;
         });
}

template <class Rules>
bool BasicEpochs<Rules>::is_member_of(const EpochPlan& plan, const Uuid& uuid) const {
  return std::find(plan.members.begin(), plan.members.end(), uuid) != plan.members.end();
}

template <class Rules>
std::int64_t BasicEpochs<Rules>::furthest() const {
  std::int64_t step = epoch_ ? epoch_->resume_step : 0;
  for (const Worker& worker : workers_) {
    if (worker.role == Role::kMember) step = std::max(step, worker.applied);
  }
  return step;
}

}  // namespace convoy::scheduler
