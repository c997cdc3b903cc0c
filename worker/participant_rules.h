// What a BasicParticipant does, for whoever instantiates it: participant.cpp with all the rules, and the search of the
// protocol's states, which leaves rules out.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cluster/chain.h"
#include "worker/participant.h"

namespace convoy::worker {

template <class Rules>
bool BasicParticipant<Rules>::copied(std::int64_t step, std::uint64_t chain, std::uint64_t previous_chain) {
  if (sealed_ != Ballot{}) return false;
  has_state_ = true;
  has_gradient_ = false;
  applied_ = step;
  chain_ = chain;
  previous_chain_ = previous_chain;
  return true;
}

template <class Rules>
bool BasicParticipant<Rules>::followed(std::uint64_t checksum) {
  if (sealed_ != Ballot{} || !has_state_) return false;
  previous_chain_ = std::exchange(chain_, cluster::chain_after(chain_, applied_ + 1, checksum));
  ++applied_;
  return true;
}

template <class Rules>
Duties BasicParticipant<Rules>::on_seal(const Ballot& ballot, const cluster::Seal& seal) {
  Duties duties;
  if (ballot < promised_) return duties;  // of a scheduler, or a round, that is over
  if (ballot == sealed_) {                // again: its answer may have been lost
    if (entered_ != ballot) duties.emplace_back(answer(ballot, /*kept=*/false));
    return duties;
  }
  promised_ = ballot;
  if (seal.keep != Ballot{} && seal.keep == sealed_) {
    pending_.reset();
    duties.emplace_back(answer(ballot, /*kept=*/true));
    return duties;
  }
  pending_ = PendingSeal{.ballot = ballot, .at_step = seal.at_step};
  settle(duties);
  return duties;
}

// Seals what is pending, unless a step has to be done first.
template <class Rules>
void BasicParticipant<Rules>::settle(Duties& duties) {
  if (!pending_) return;
  if (state_ != State::kOutside && applied_ < pending_->at_step) return;
  const bool lets_go = Rules::seal_aborts && (Rules::seal_binds || !target_);
  // A step that is complete: the training thread applies it and comes back here.
  if (lets_go ? !commit_.abort() : Rules::seal_binds && commit_.state() == CommitPoint::State::kReduced) return;
  if (lets_go) {
    target_.reset();
    if (state_ != State::kOutside) duties.emplace_back(AbortCommunication{});
  }
  sealed_ = pending_->ballot;
  state_ = State::kOutside;
  pending_.reset();
  duties.emplace_back(answer(sealed_, /*kept=*/false));
}

template <class Rules>
Duties BasicParticipant<Rules>::on_epoch(const Ballot& ballot, const cluster::Epoch& epoch) {
  Duties duties;
  if (Rules::restart_seals ? ballot != sealed_ : ballot < sealed_) return duties;
  if (entered_ == ballot) return duties;  // announced again
  const bool is_member = std::any_of(epoch.members.begin(), epoch.members.end(),
                                     [&](const cluster::Member& member) { return member.uuid == self_; });
  if (!is_member) return duties;
  if (!Rules::restart_seals) {
    if (!commit_.abort()) return duties;
    sealed_ = promised_ = ballot;
    target_.reset();
  }
  // With all the rules, what is under way was aborted when this ballot was sealed.
  if (commit_.state() == CommitPoint::State::kReducing || commit_.state() == CommitPoint::State::kReduced)
    return duties;

  Target target{.what = Fetch::What::kState,
                .ballot = ballot,
                .step = epoch.resume_step,
                .chain = epoch.chain,
                .previous_chain = epoch.previous_chain,
                .donors = epoch.donors};
  const bool took_part = entered_ != Ballot{};
  unreachable_.clear();
  if (epoch.donors.empty()) {
    target.what = Fetch::What::kCheckpoint;
    target.chain = target.previous_chain = cluster::chain_from(epoch.resume_step);
  } else if (has_state_ && applied_ == epoch.resume_step && chain_ == epoch.chain) {
    entered_ = ballot;
    enter(duties);
    return duties;
  } else if (has_state_ && applied_ + 1 == epoch.resume_step && chain_ == epoch.previous_chain) {
    target.what = Fetch::What::kGradient;
  } else if (has_state_ && took_part && applied_ > epoch.resume_step) {
    duties.emplace_back(Fault{fmt::format("epoch {} goes on after step {}, but this worker has applied step {}",
                                          ballot.to_string(), epoch.resume_step, applied_)});
    return duties;
  }
  entered_ = ballot;
  fetch(std::move(target), duties);
  return duties;
}

template <class Rules>
void BasicParticipant<Rules>::fetch(Target target, Duties& duties) {
  state_ = State::kFetching;
  if (target.what != Fetch::What::kGradient) {
    has_state_ = has_gradient_ = false;
    applied_ = 0;
    chain_ = previous_chain_ = checksum_ = 0;
  }
  duties.emplace_back(
      Fetch{.what = target.what, .ballot = target.ballot, .step = target.step, .donors = target.donors});
  target_ = std::move(target);
  commit_.reopen();
}

template <class Rules>
void BasicParticipant<Rules>::enter(Duties& duties) {
  state_ = State::kWorking;
  target_.reset();
  commit_.reopen();
  duties.emplace_back(Enter{.ballot = entered_});
}

template <class Rules>
bool BasicParticipant<Rules>::reduced() {
  if (!commit_.complete()) return false;
  if (!Rules::seal_aborts) {
    if (Rules::seal_binds && state_ == State::kOutside) {
      commit_.applied();
      return false;
    }
  }
  return true;
}

template <class Rules>
Duties BasicParticipant<Rules>::applied(std::uint64_t checksum) {
  Duties duties;
  previous_chain_ = std::exchange(chain_, cluster::chain_after(chain_, applied_ + 1, checksum));
  ++applied_;
  checksum_ = checksum;
  has_gradient_ = true;
  commit_.applied();
  if (target_) {
    const std::uint64_t expected = target_->chain;
    target_.reset();
    if (chain_ != expected) {
      duties.emplace_back(Fault{fmt::format("the gradient of step {} from a donor led to another state", applied_)});
      return duties;
    }
    if (state_ == State::kFetching) enter(duties);
  }
  settle(duties);
  return duties;
}

template <class Rules>
Duties BasicParticipant<Rules>::restored(const Ballot& ballot) {
  Duties duties;
  if (!target_ || target_->ballot != ballot || target_->what == Fetch::What::kGradient) return duties;
  if (Rules::seal_binds && state_ != State::kFetching) return duties;
  has_state_ = true;
  applied_ = target_->step;
  chain_ = target_->chain;
  previous_chain_ = target_->previous_chain;
  if (state_ == State::kFetching) enter(duties);
  target_.reset();
  settle(duties);
  return duties;
}

template <class Rules>
Duties BasicParticipant<Rules>::no_gradient(const Ballot& ballot) {
  Duties duties;
  if (!target_ || target_->ballot != ballot || target_->what != Fetch::What::kGradient) return duties;
  Target target = *target_;
  target.what = Fetch::What::kState;
  fetch(std::move(target), duties);
  return duties;
}

template <class Rules>
void BasicParticipant<Rules>::lost(const std::vector<Uuid>& peers) {
  for (const Uuid& peer : peers) {
    if (std::find(unreachable_.begin(), unreachable_.end(), peer) == unreachable_.end()) unreachable_.push_back(peer);
  }
}

template <class Rules>
bool BasicParticipant<Rules>::serves_state(const Ballot& ballot, std::int64_t step) const {
  return state_ == State::kWorking && entered_ == ballot && applied_ == step;
}

template <class Rules>
bool BasicParticipant<Rules>::serves_gradient(const Ballot& ballot, std::int64_t step) const {
  return serves_state(ballot, step) && has_gradient_;
}

template <class Rules>
cluster::Standing BasicParticipant<Rules>::standing() const {
  return {.sealed = sealed_,
          .entered = entered_,
          .has_state = has_state_,
          .applied = applied_,
          .chain = chain_,
          .previous_chain = previous_chain_};
}

template <class Rules>
Answer BasicParticipant<Rules>::answer(const Ballot& ballot, bool kept) const {
  return {.ballot = ballot, .answer = {.standing = standing(), .kept = kept, .unreachable = unreachable_}};
}

}  // namespace convoy::worker
