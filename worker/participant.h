// A worker's side of the membership protocol: what it is bound to, what it may still apply, what it answers a seal,
// and how it comes to the state from which an epoch goes on.
//
// A pure state machine: it does no input or output; what must be done is returned, in order. Every call but begin()
// and reduced() is made under one lock of the owner's, whichever thread makes it (control messages come from the
// reporter's thread, the rest from the training thread); those two are the training thread's alone and lock-free, so
// that a step costs one lock, in applied().
//
//   outside ──epoch──▶ fetching ──▶ working ──seal──▶ outside
//      ▲                  └──seal──────────────────────┘
//
// A step: begin(), compute and reduce, reduced(), update the parameters, applied(). Fetching a reduced gradient from a
// donor is such a step whose gradient comes from elsewhere: begin(), fetch, reduced(), update, applied(). When begin()
// or reduced() is false the training thread drops what it does and waits for the next Enter or Fetch. What it keeps
// from an aborted step (sums of its own shards, by step) is its own affair: those of step applied() + 1 stay valid.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cluster/messages.h"
#include "cluster/protocol_rules.h"
#include "core/base/ballot.h"
#include "core/base/uuid.h"
#include "worker/commit_point.h"

namespace convoy::worker {

// What the owner of a Participant must do.
struct Answer {  // send it to the scheduler under `ballot`
  Ballot ballot;
  cluster::SealAnswer answer;
};
struct AbortCommunication {};  // of the epoch that was entered last
struct Fetch {
  enum class What : std::uint8_t {
    kGradient,   // the reduced gradient of `step`, from a donor; to be applied as a step
    kState,      // as it is after `step`, from a donor; what is here is dropped. Then restored()
    kCheckpoint  // the same from the checkpoint of `step`, or as it begins for step 0
  };
  What what{};
  Ballot ballot;
  std::int64_t step = 0;
  std::vector<Uuid> donors;
  bool operator==(const Fetch&) const = default;
};
struct Enter {  // build a communicator among the members of the epoch `ballot` and go on with step applied() + 1
  Ballot ballot;
};
struct Fault {  // the protocol was broken: end this process, which the others will do without
  std::string reason;
};
using Duty = std::variant<Answer, AbortCommunication, Fetch, Enter, Fault>;
using Duties = std::vector<Duty>;

template <class Rules>
class BasicParticipant {
 public:
  enum class State : std::uint8_t { kOutside, kFetching, kWorking };

  explicit BasicParticipant(const Uuid& self) : self_(self) {}

  // What a worker holds that got its state outside of an epoch: a joiner's copy of a donor's snapshot. Only before its
  // first seal; false afterwards.
  bool copied(std::int64_t step, std::uint64_t chain, std::uint64_t previous_chain);
  // A joiner brings its copy one step further. Only before its first seal; false afterwards.
  bool followed(std::uint64_t checksum);

  // What the scheduler says, under `ballot`.
  Duties on_seal(const Ballot& ballot, const cluster::Seal& seal);
  Duties on_epoch(const Ballot& ballot, const cluster::Epoch& epoch);

  // The training thread's steps.
  bool begin() { return commit_.begin(); }
  bool reduced();
  Duties applied(std::uint64_t checksum);
  // A fetch came to its end: the state is in place; or the donors have no such gradient.
  Duties restored(const Ballot& ballot);
  Duties no_gradient(const Ballot& ballot);

  // Communication failed, with these members where it is known; part of the next answer.
  void lost(const std::vector<Uuid>& peers);

  // Whether a peer that fetches under `ballot` may have the state after `step`, or its reduced gradient, from here.
  bool serves_state(const Ballot& ballot, std::int64_t step) const;
  bool serves_gradient(const Ballot& ballot, std::int64_t step) const;

  cluster::Standing standing() const;
  State state() const { return state_; }
  const Ballot& sealed() const { return sealed_; }
  const Ballot& entered() const { return entered_; }
  bool has_state() const { return has_state_; }
  std::int64_t step() const { return applied_; }  // applied
  std::uint64_t chain() const { return chain_; }
  std::uint64_t previous_chain() const { return previous_chain_; }
  std::uint64_t checksum() const { return checksum_; }  // of the gradient of step()
  const CommitPoint& commit_point() const { return commit_; }

  // Puts all that decides what happens next into `sink`, one number after another.
  template <class Sink>
  void digest(Sink&& sink) const;

 private:
  struct PendingSeal {
    Ballot ballot;
    std::int64_t at_step = -1;
  };
  struct Target {  // of a fetch
    Fetch::What what{};
    Ballot ballot;
    std::int64_t step = 0;
    std::uint64_t chain = 0;
    std::uint64_t previous_chain = 0;
    std::vector<Uuid> donors;
  };

  void settle(Duties& duties);
  void fetch(Target target, Duties& duties);
  void enter(Duties& duties);
  Answer answer(const Ballot& ballot, bool kept) const;

  const Uuid self_;
  State state_ = State::kOutside;
  CommitPoint commit_;
  Ballot promised_;  // the largest a scheduler named; older words of schedulers are void
  Ballot sealed_;    // neither applies nor fetches under an older one
  Ballot entered_;   // of the last epoch it took part in
  std::optional<PendingSeal> pending_;
  std::optional<Target> target_;
  bool has_state_ = false;
  bool has_gradient_ = false;  // that of step applied_ is still there
  std::int64_t applied_ = 0;
  std::uint64_t chain_ = 0;
  std::uint64_t previous_chain_ = 0;
  std::uint64_t checksum_ = 0;
  std::vector<Uuid> unreachable_;
};

using Participant = BasicParticipant<cluster::AllRules>;
extern template class BasicParticipant<cluster::AllRules>;

template <class Rules>
template <class Sink>
void BasicParticipant<Rules>::digest(Sink&& sink) const {
  const auto ballot = [&](const Ballot& value) { sink((value.term << 32) | value.attempt); };
  sink(static_cast<std::uint64_t>(state_) | static_cast<std::uint64_t>(commit_.state()) << 8 |
       std::uint64_t{has_state_} << 16 | std::uint64_t{has_gradient_} << 17);
  ballot(promised_);
  ballot(sealed_);
  ballot(entered_);
  sink(static_cast<std::uint64_t>(applied_));
  sink(chain_);
  sink(previous_chain_);
  sink(checksum_);
  sink(pending_ ? 1 : 0);
  if (pending_) {
    ballot(pending_->ballot);
    sink(static_cast<std::uint64_t>(pending_->at_step));
  }
  sink(target_ ? 1 : 0);
  if (target_) {
    sink(static_cast<std::uint64_t>(target_->what));
    ballot(target_->ballot);
    sink(static_cast<std::uint64_t>(target_->step));
    sink(target_->chain);
    for (const Uuid& donor : target_->donors) sink(donor.bytes[0]);
  }
  sink(unreachable_.size());
}

}  // namespace convoy::worker
