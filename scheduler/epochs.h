// Which workers form the run, from epoch to epoch: the scheduler's side of the membership protocol. Replicated state:
// every worker holds all of it.
//
// A pure state machine, as Membership is: events come in, what must be done comes out, in order. It knows no clock (its
// timers are set and come due outside), no sockets, no hosts and no ranks but an order of workers.
//
//   gathering ──(all starters)──▶ sealing ──(answers)──▶ excluding ──(reaped)──▶ running ──(all steps applied)──▶ over
//                                   ▲  ▲                    │                      │
//                                   │  └──(one more lost)───┴──(lost, joiner)──────┘
//                                waiting (too few workers) ──(too long)──▶ over
//
// A round: SEAL(ballot) goes to everyone who may take part. Who does not answer in time is suspected; those who did
// form the epoch, provided one of them holds the state, and the others are put into quarantine, killed and reaped
// before the epoch is journalled and announced. Where no holder answered, suspicions are withdrawn and the invitation
// repeated, until one answers or the owner finds that they hang; where all holders are known to be dead, the run goes
// on from the newest checkpoint.
//
// How Membership owns it. Membership keeps what people see (ranks, hosts, pids, refusals, reasons, hang detection, stop
// causes, wishes to stop) and turns what it learns into events here:
//   - Register of an accepted worker → on_registered; Ready → on_ready; SealAnswer → on_answer; PeersLost →
//     on_peers_lost; every Heartbeat → on_progress with the envelope's ballot and `applied`; a committed checkpoint →
//     on_checkpoint.
//   - WorkerEnded (and a Leave before the run is complete) → on_lost(kEnded); a closed connection → kClosed; silence →
//     kSilent; its finding of a hang → kHung; a lost agent → kNodeLost for each worker of that node. A worker without
//     an agent (under mpirun) is sent Exclude itself, and its closed connection counts as kEnded.
//   - Actions: SendSeal and SendEpoch become messages under the ballot they carry, Kill an Exclude to the worker and to
//     the agent of its node, Journal… records. An action that stands behind a journal action is carried out only once
//     that record is on disk; when it cannot be written, none of the rest is. Timers are kept by (kind, ballot), and
//     come back through on_timer however late: that of the answers once nobody who has yet to answer is heard any more.
//   - Release: every member has applied the last step, nobody needs anybody any more; Membership may let them leave.
//     GiveUp: Membership has the holders write a checkpoint and leave with exit code 75, or ends the run.
//   - After a restart: EpochPast comes from past_of(read_journal(…)), start() is called once agents and workers can be
//     heard, and agents tell of every process that has ended since the run began.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "cluster/messages.h"
#include "cluster/protocol_rules.h"
#include "core/base/ballot.h"
#include "core/base/uuid.h"
#include "scheduler/journal.h"

namespace convoy::scheduler {

struct EpochOptions {
  std::int32_t world = 1;        // workers to begin with
  std::int32_t min_workers = 1;  // with fewer the run waits
  std::int64_t steps = 0;        // of the run
  // How many steps ahead of the last one known to be applied a joiner is let in, so that the members hear of it in
  // time.
  std::int64_t admission_margin = 2;
};

// An agreed membership: who, under which ballot, and where they go on.
struct EpochPlan {
  Ballot ballot;
  std::vector<Uuid> members;  // in the order of their ranks
  std::int64_t resume_step = 0;
  std::vector<Uuid> donors;  // members that have applied that step; none: all read its checkpoint
  std::uint64_t chain = 0;   // up to that step (cluster/chain.h), and up to the one before
  std::uint64_t previous_chain = 0;
  bool operator==(const EpochPlan&) const = default;
};

// What was decided before this start of the scheduler.
struct EpochPast {
  std::uint64_t term = 1;          // of this start
  std::optional<EpochPlan> epoch;  // the last one on record
  std::vector<Uuid> quarantined;   // since then: on their way out, perhaps not dead yet
  std::int64_t checkpoint_step = 0;
  bool operator==(const EpochPast&) const = default;
};
// `term` is left alone.
EpochPast past_of(std::span<const JournalRecord> records);

// How a worker is known to be lost.
enum class Loss : std::uint8_t {
  kEnded,     // its process is dead and reaped
  kNodeLost,  // with its machine
  kClosed,    // its connection; its process may live
  kHung,      // it has been still for so long that it is to be killed
  kSilent     // no heartbeat reaches the scheduler, which by itself excludes nobody
};

struct Timer {
  enum class Kind : std::uint8_t {
    kAnswers,    // how long an invited worker that says nothing may take to answer: well below a second
    kReconnect,  // the same after a restart of the scheduler: workers have to find it first
    kAdmission,  // the same where the members finish steps first: longer than those take
    kReaped,     // until the order to kill is repeated
    kAnnounce,   // until the epoch is announced again to those who have not entered it
    kSuspicion,  // how long a silent worker may stay silent while no step is done
    kTooFew      // how long the run waits for workers
  };
  Kind kind{};
  Ballot ballot;
  bool operator==(const Timer&) const = default;
};

// What the owner must do.
struct SendSeal {
  Uuid to;
  Ballot ballot;
  cluster::Seal seal;
};
struct SendEpoch {
  Uuid to;
  EpochPlan epoch;
};
struct Kill {  // and reap: on_lost(kEnded) or on_lost(kNodeLost) must come of it
  Uuid worker;
};
struct JournalPlan {
  EpochPlan epoch;
};
struct JournalQuarantine {
  Uuid worker;
  std::string reason;
};
struct JournalCheckpoint {
  std::int64_t step = 0;
};
struct SetTimer {
  Timer timer;
};
struct Withdrawn {  // suspicions of this worker (nil: of all) were wrong, or cannot be acted upon
  Uuid worker;
};
struct Release {};
struct GiveUp {
  enum class Why : std::uint8_t { kTooFewWorkers, kDiverged };
  Why why{};
  std::vector<Uuid> holders;  // of the state after `step`
  std::int64_t step = 0;
};
using EpochAction = std::variant<SendSeal, SendEpoch, Kill, JournalPlan, JournalQuarantine, JournalCheckpoint, SetTimer,
                                 Withdrawn, Release, GiveUp>;
using EpochActions = std::vector<EpochAction>;

template <class Rules>
class BasicEpochs {
 public:
  enum class State : std::uint8_t { kGathering, kSealing, kExcluding, kRunning, kWaiting, kOver };

  BasicEpochs(const EpochOptions& options, const EpochPast& past);

  // Goes on with the epoch on record, if there is one. Once, before any event.
  EpochActions start();

  // `order` is how the launcher numbers it: members that are new stand in this order behind the others.
  EpochActions on_registered(const Uuid& worker, std::int32_t order, const cluster::Standing& standing);
  // A joiner has a copy of the state. It says so again from time to time until it is a member.
  EpochActions on_ready(const Uuid& worker);
  EpochActions on_lost(const Uuid& worker, Loss loss);
  EpochActions on_answer(const Uuid& worker, const Ballot& ballot, const cluster::SealAnswer& answer);
  EpochActions on_peers_lost(const Uuid& worker, const Ballot& ballot);
  EpochActions on_progress(const Uuid& worker, const Ballot& ballot, std::int64_t applied);
  EpochActions on_checkpoint(std::int64_t step);  // it is complete
  EpochActions on_timer(const Timer& timer);

  State state() const { return state_; }
  // Of the last epoch that was announced; scheduler messages that belong to no epoch carry round().
  const std::optional<EpochPlan>& epoch() const { return epoch_; }
  const Ballot& round() const { return ballot_; }
  // Whether members that have not answered work under the epoch: at any step, or at those before a joiner comes in.
  bool members_work() const;
  // Whether the round under way is to let joiners in.
  bool admits() const { return state_ == State::kSealing && seal_.at_step >= 0; }
  // Who was invited to the round under way and has not answered.
  std::vector<Uuid> awaited() const;
  bool excluded(const Uuid& worker) const;

  // Puts all that decides what happens next into `sink`, one number after another.
  template <class Sink>
  void digest(Sink&& sink) const;

 private:
  enum class Role : std::uint8_t { kCandidate, kMember, kExcluded };
  struct Worker {
    Uuid uuid;
    std::int32_t order = 0;
    Role role = Role::kCandidate;
    bool ready = false;    // may become a member: a starter, or a joiner with a copy of the state
    bool ended = false;    // dead and reaped, or gone with its node
    bool lost = false;     // suspected: not invited until it is heard again, or suspicions are withdrawn
    bool invited = false;  // to the round under way
    bool entered = false;  // the epoch
    std::int64_t applied = 0;
    std::optional<std::int64_t> silent_since;  // the last step known to be applied by anyone when it fell silent
    std::optional<cluster::SealAnswer> answer;
    bool present() const { return !ended && role != Role::kExcluded; }
  };
  using Workers = std::vector<Worker*>;

  void seal(Timer::Kind patience, const cluster::Seal& seal);
  void seal() { seal(Timer::Kind::kAnswers, {}); }
  void decide_if_all_answered();
  void decide();
  void adopt(const Workers& answered);
  bool choose(const Workers& answered, Workers& kept, EpochPlan& plan) const;
  void withdraw();
  void exclude(Worker& worker, std::string reason);
  void announce_if_reaped();
  void send_epoch(const Worker& worker) { actions_.emplace_back(SendEpoch{.to = worker.uuid, .epoch = *epoch_}); }
  void admit();
  void wait();
  void release_if_done();

  Worker* find(const Uuid& worker);
  bool is_member_of(const EpochPlan& plan, const Uuid& worker) const;
  Workers invited() {
    return chosen([](const Worker& worker) { return worker.invited; });
  }
  template <typename Which>
  Workers chosen(Which which) {
    Workers found;
    for (Worker& worker : workers_) {
      if (which(worker)) found.push_back(&worker);
    }
    return found;
  }
  std::int64_t furthest() const;
  void set_timer(Timer::Kind kind) { actions_.emplace_back(SetTimer{{.kind = kind, .ballot = ballot_}}); }
  EpochActions take() { return std::exchange(actions_, {}); }

  const EpochOptions options_;
  State state_ = State::kGathering;
  Ballot ballot_;  // of the last round
  cluster::Seal seal_;
  Timer::Kind patience_{};
  std::optional<EpochPlan> epoch_;
  EpochPlan proposal_;           // while excluding
  std::vector<Worker> workers_;  // ascending UUIDs
  std::int64_t checkpoint_step_;
  EpochActions actions_;  // of the event under way
};

using Epochs = BasicEpochs<cluster::AllRules>;
extern template class BasicEpochs<cluster::AllRules>;

template <class Rules>
template <class Sink>
void BasicEpochs<Rules>::digest(Sink&& sink) const {
  const auto ballot = [&](const Ballot& value) { sink((value.term << 32) | value.attempt); };
  const auto plan = [&](const EpochPlan& value) {
    ballot(value.ballot);
    sink(static_cast<std::uint64_t>(value.resume_step) << 16 | value.members.size() << 8 | value.donors.size());
    for (const Uuid& member : value.members) sink(member.bytes[0]);
    for (const Uuid& donor : value.donors) sink(donor.bytes[0]);
    sink(value.chain);
    sink(value.previous_chain);
  };
  sink(static_cast<std::uint64_t>(state_) | static_cast<std::uint64_t>(patience_) << 8);
  ballot(ballot_);
  ballot(seal_.keep);
  sink(static_cast<std::uint64_t>(seal_.at_step));
  sink(epoch_ ? 1 : 0);
  if (epoch_) plan(*epoch_);
  if (state_ == State::kExcluding) plan(proposal_);
  for (const Worker& worker : workers_) {
    sink(worker.uuid.bytes[0] | static_cast<std::uint64_t>(worker.role) << 8 | std::uint64_t{worker.ready} << 16 |
         std::uint64_t{worker.ended} << 17 | std::uint64_t{worker.lost} << 18 | std::uint64_t{worker.invited} << 19 |
         std::uint64_t{worker.entered} << 20 | std::uint64_t{worker.answer.has_value()} << 21 |
         std::uint64_t{worker.silent_since.has_value()} << 22 | static_cast<std::uint64_t>(worker.applied) << 32);
    if (worker.silent_since) sink(static_cast<std::uint64_t>(*worker.silent_since));
    if (worker.answer) {
      const cluster::Standing& standing = worker.answer->standing;
      sink(std::uint64_t{worker.answer->kept} | std::uint64_t{standing.has_state} << 1 |
           worker.answer->unreachable.size() << 2 | static_cast<std::uint64_t>(standing.applied) << 32);
      ballot(standing.entered);
      sink(standing.chain);
      for (const Uuid& peer : worker.answer->unreachable) sink(peer.bytes[0]);
    }
  }
  sink(static_cast<std::uint64_t>(checkpoint_step_));
}

}  // namespace convoy::scheduler
