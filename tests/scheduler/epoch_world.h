// A run as the search of its states sees it: the real scheduler machine, the real worker machines, and everything that
// may go wrong between them. A World is one state; step() lists the states that can follow.
//
// The network delays and reorders as it likes (any message in flight may arrive next), loses and repeats messages
// within a budget. Processes are killed, suspected wrongly and joined, the scheduler crashes between any two of its
// actions and starts again from its journal, timers come due too early within a budget and in time when nothing else
// can happen. A gradient's checksum depends on the ballot under which it was reduced, so that a step that was done
// twice counts as divergence even where its bits would happen to be equal.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/hash.h"
#include "scheduler/epochs_rules.h"
#include "worker/participant_rules.h"

namespace convoy::scheduler {

// How large the world is, and how much may go wrong in it.
struct Perils {
  int workers = 2;
  int joiners = 0;
  int min_workers = 1;
  int steps = 1;
  int kills = 0;
  int suspicions = 0;              // of workers that are well: a closed connection, silence, peers that seem lost
  int early_timers = 0;            // that come due before the answer is in
  int losses = 0;                  // of messages
  int repeats = 0;                 // of messages
  int crashes = 0;                 // of the scheduler
  int cuts = 0;                    // between two workers, for good
  bool from_start = false;         // from the first registration on; else from the first epoch on
  bool consequences_only = false;  // a step under an old ballot is no error in itself; what comes of it may be
  bool stale_messages = false;     // messages that are void at their receiver stay in flight, to be refused there
};

// What happened, for a trace.
struct Happening {
  enum Kind : std::uint8_t {
    kContribute,
    kComplete,
    kApply,
    kFetch,
    kDeliver,
    kLose,
    kRepeat,
    kTimer,
    kEnded,
    kClosed,
    kSilent,
    kPeersLost,
    kProgress,
    kRegister,
    kReady,
    kCopy,
    kKill,
    kCrash,
    kRestart,
    kHung,
    kCut,
    kNotice
  };
  Kind kind{};
  std::uint8_t who = 0;
  std::uint8_t what = 0;
  std::uint8_t crash_after = 0xff;  // actions of the scheduler that were still carried out
};

template <class Rules>
class World {
 public:
  using Participant = worker::BasicParticipant<Rules>;
  using Scheduler = BasicEpochs<Rules>;

  explicit World(const Perils& perils)
      : perils_(&perils),
        kills_(perils.kills),
        suspicions_(perils.suspicions),
        early_timers_(perils.early_timers),
        losses_(perils.losses),
        repeats_(perils.repeats),
        crashes_(perils.crashes),
        cuts_(perils.cuts) {
    for (int i = 0; i < perils.workers + perils.joiners; ++i) processes_.emplace_back(uuid_of(i));
    start_scheduler();
    for (int i = 0; i < perils.workers; ++i) {
      processes_[i].connected = true;
      perform(scheduler_->on_registered(uuid_of(i), i, {}));
    }
    if (!perils.from_start) reach_first_epoch();
    tidy();
  }

  // Calls next(happening, world) for every state that can follow this one.
  template <typename Next>
  void step(Next next) const;

  // The run is over as it should be.
  bool ended_well() const { return released_ || gave_up_ || never_begins(); }
  bool over() const { return ended_well() || !wrong_.empty(); }
  // What must never be, if it is.
  const std::string& wrong() const { return wrong_; }
  std::uint64_t digest() const;
  std::string describe(const Happening& happening) const;

 private:
  struct Process {
    explicit Process(const Uuid& uuid) : participant(uuid) {}
    Participant participant;
    bool alive = true;
    bool connected = false;  // to the present scheduler
    bool reported = false;   // its end, to the present scheduler
    bool closed = false;     // so was its connection, when it died
    bool ready = false;      // a joiner that has said so to the present scheduler
    std::uint8_t cut = 0;    // workers out of reach, a bit each
    Ballot noticed;          // the epoch in which it noticed that
    std::uint8_t peers = 0;  // members of the epoch it entered, a bit each
    std::optional<worker::Fetch> fetch;
    std::uint64_t fetched = 0;  // checksum of the gradient that a donor sent
    Ballot answered;            // the largest it has answered a seal of
  };
  struct Packet {
    enum class Kind : std::uint8_t { kSeal, kAnswer, kEpoch, kKill };
    Kind kind{};
    std::uint8_t who = 0;  // the worker, whichever direction
    Ballot ballot;
    cluster::Seal seal;
    cluster::SealAnswer answer;
    std::shared_ptr<const cluster::Epoch> epoch;
    std::uint64_t key = 0;
  };
  struct Contribution {
    Ballot ballot;
    std::int64_t step = 0;
    std::uint8_t who = 0;
    auto operator<=>(const Contribution&) const = default;
  };

  static Uuid uuid_of(int index) {
    Uuid uuid;
    uuid.bytes[0] = static_cast<std::uint8_t>(index + 1);
    return uuid;
  }
  static std::uint8_t index_of(const Uuid& uuid) { return static_cast<std::uint8_t>(uuid.bytes[0] - 1); }
  static std::uint64_t word(const Ballot& ballot) { return ballot.term << 32 | ballot.attempt; }
  // Not all starters are left: Membership stops such a run when its time to start is over.
  bool never_begins() const {
    const auto left = std::count_if(processes_.begin(), processes_.end(), [](const Process& one) { return one.alive; });
    return scheduler_ && scheduler_->state() == Scheduler::State::kGathering && left < perils_->workers;
  }
  int size() const { return static_cast<int>(processes_.size()); }

  void send(Packet packet) {
    std::vector<std::uint64_t> words{static_cast<std::uint64_t>(packet.kind), packet.who, word(packet.ballot),
                                     static_cast<std::uint64_t>(packet.seal.at_step), word(packet.seal.keep)};
    if (packet.kind == Packet::Kind::kAnswer) {
      const cluster::Standing& standing = packet.answer.standing;
      words.insert(words.end(), {std::uint64_t{packet.answer.kept}, std::uint64_t{standing.has_state},
                                 static_cast<std::uint64_t>(standing.applied), standing.chain, word(standing.entered)});
    }
    packet.key = xxh3_64(std::as_bytes(std::span(words)));
    packets_.push_back(std::move(packet));
  }

  // --- the scheduler

  void start_scheduler() {
    ++past_.term;
    scheduler_ = std::make_shared<Scheduler>(options(), past_);
  }
  EpochOptions options() const {
    return {
        .world = perils_->workers, .min_workers = perils_->min_workers, .steps = perils_->steps, .admission_margin = 1};
  }
  void crash() {
    scheduler_.reset();
    timers_.clear();
    std::erase_if(packets_, [](const Packet& packet) { return packet.kind == Packet::Kind::kAnswer; });
    for (Process& process : processes_) process.connected = process.reported = process.closed = process.ready = false;
  }

  void perform(const EpochActions& actions) {
    for (const EpochAction& action : actions) {
      std::visit([this](const auto& value) { perform(value); }, action);
    }
  }
  void perform(const SendSeal& action) {
    if (processes_[index_of(action.to)].connected)
      send({.kind = Packet::Kind::kSeal,
            .who = index_of(action.to),
            .ballot = action.ballot,
            .seal = action.seal,
            .answer = {},
            .epoch = {}});
  }
  void perform(const SendEpoch& action) {
    if (!processes_[index_of(action.to)].connected) return;
    auto epoch = std::make_shared<cluster::Epoch>();
    for (const Uuid& member : action.epoch.members)
      epoch->members.push_back({.uuid = member, .rank = 0, .host = {}, .pid = 0, .meeting_place = {}});
    epoch->resume_step = action.epoch.resume_step;
    epoch->donors = action.epoch.donors;
    epoch->chain = action.epoch.chain;
    epoch->previous_chain = action.epoch.previous_chain;
    send({.kind = Packet::Kind::kEpoch,
          .who = index_of(action.to),
          .ballot = action.epoch.ballot,
          .seal = {},
          .answer = {},
          .epoch = std::move(epoch)});
  }
  void perform(const Kill& action) {
    send({.kind = Packet::Kind::kKill,
          .who = index_of(action.worker),
          .ballot = {},
          .seal = {},
          .answer = {},
          .epoch = {}});
  }
  void perform(const JournalPlan& action) {
    if (past_.epoch && action.epoch.ballot <= past_.epoch->ballot) wrong_ = "an epoch that is not later than the last";
    if (past_.epoch) {
      for (const Uuid& member : past_.epoch->members) {
        if (std::find(action.epoch.members.begin(), action.epoch.members.end(), member) == action.epoch.members.end())
          excluded_ |= 1U << index_of(member);
      }
    }
    for (const Uuid& member : action.epoch.members) {
      if ((excluded_ >> index_of(member) & 1U) != 0) wrong_ = "an epoch with a worker that was excluded";
    }
    past_.epoch = action.epoch;
    past_.quarantined.clear();
  }
  void perform(const JournalQuarantine& action) {
    if constexpr (std::is_same_v<Rules, cluster::AllRules>) {
      // Whoever does not hang is excluded only where it is not needed.
      const auto holds = [](const Process& process) {
        return process.participant.has_state() && process.participant.entered() != Ballot{};
      };
      const Process& excluded = processes_[index_of(action.worker)];
      if (action.reason != "it hangs" && excluded.alive && holds(excluded) &&
          std::none_of(processes_.begin(), processes_.end(), [&](const Process& one) {
            return &one != &excluded && holds(one) && one.answered >= scheduler_->round();
          }))
        wrong_ = fmt::format("worker {} is excluded, and nobody else holds the state", index_of(action.worker));
    }
    excluded_ |= 1U << index_of(action.worker);
    past_.quarantined.push_back(action.worker);
    std::sort(past_.quarantined.begin(), past_.quarantined.end());
  }
  void perform(const JournalCheckpoint&) {}
  void perform(const SetTimer& action) {
    if (std::find(timers_.begin(), timers_.end(), action.timer) == timers_.end()) timers_.push_back(action.timer);
  }
  void perform(const Withdrawn&) {}
  void perform(const Release&) {
    released_ = true;
    for (const Uuid& member : past_.epoch->members) {
      const Process& process = processes_[index_of(member)];
      if (process.alive && process.participant.step() != perils_->steps) wrong_ = "the end before the last step";
    }
  }
  void perform(const GiveUp& action) {
    if (action.why == GiveUp::Why::kDiverged) {
      wrong_ = "the scheduler sees states that differ";
      return;
    }
    gave_up_ = true;
    const auto present = std::count_if(processes_.begin(), processes_.end(), [&](const Process& process) {
      const auto index = static_cast<unsigned>(&process - processes_.data());
      return process.alive && process.connected && (excluded_ >> index & 1U) == 0;
    });
    if (present >= perils_->min_workers) wrong_ = fmt::format("given up with {} workers present", present);
  }

  // --- workers

  void perform(std::uint8_t who, const worker::Duties& duties) {
    for (const worker::Duty& duty : duties) {
      std::visit([&](const auto& value) { perform(who, value); }, duty);
    }
  }
  void perform(std::uint8_t who, const worker::Answer& duty) {
    Process& process = processes_[who];
    if (!duty.answer.kept) process.answered = std::max(process.answered, duty.ballot);
    if (process.connected && scheduler_)
      send({.kind = Packet::Kind::kAnswer,
            .who = who,
            .ballot = duty.ballot,
            .seal = {},
            .answer = duty.answer,
            .epoch = {}});
  }
  void perform(std::uint8_t who, const worker::AbortCommunication&) {
    if (Rules::seal_binds) processes_[who].fetch.reset();
  }
  void perform(std::uint8_t who, const worker::Fetch& duty) { processes_[who].fetch = duty; }
  void perform(std::uint8_t who, const worker::Enter&) { processes_[who].fetch.reset(); }
  // Without all the rules a worker may find itself ahead; it stays where it is, to show what becomes of the run.
  void perform(std::uint8_t, const worker::Fault& duty) {
    if constexpr (std::is_same_v<Rules, cluster::AllRules>) wrong_ = duty.reason;
  }

  void receive(const Packet& packet);
  void apply(std::uint8_t who);
  bool can_complete(std::uint8_t who) const;
  bool fetch(std::uint8_t who);
  void reach_first_epoch();
  void tidy();
  void check();

  const Perils* perils_;
  std::int8_t kills_, suspicions_, early_timers_, losses_, repeats_, crashes_, cuts_;
  std::vector<Process> processes_;
  std::shared_ptr<Scheduler> scheduler_;  // none while it is down; shared by worlds until one changes it
  EpochPast past_{.term = 0, .epoch = {}, .quarantined = {}, .checkpoint_step = 0};  // its journal
  std::vector<Timer> timers_;
  std::vector<Packet> packets_;
  std::vector<Contribution> contributions_;
  std::uint32_t excluded_ = 0;  // for good, a bit each
  bool released_ = false;
  bool gave_up_ = false;
  std::string wrong_;
};

template <class Rules>
void World<Rules>::receive(const Packet& packet) {
  Process& process = processes_[packet.who];
  switch (packet.kind) {
    case Packet::Kind::kSeal:
      if (process.alive) perform(packet.who, process.participant.on_seal(packet.ballot, packet.seal));
      break;
    case Packet::Kind::kEpoch: {
      if (!process.alive) break;
      const Ballot before = process.participant.entered();
      const worker::Duties duties = process.participant.on_epoch(packet.ballot, *packet.epoch);
      if (process.participant.entered() != before) {
        process.peers = 0;
        for (const cluster::Member& member : packet.epoch->members)
          process.peers = static_cast<std::uint8_t>(process.peers | 1U << index_of(member.uuid));
      }
      perform(packet.who, duties);
      break;
    }
    case Packet::Kind::kKill:
      process.alive = false;
      break;
    case Packet::Kind::kAnswer:
      break;  // the scheduler's
  }
}

template <class Rules>
bool World<Rules>::can_complete(std::uint8_t who) const {
  const Process& process = processes_[who];
  if (!process.alive || process.participant.commit_point().state() != worker::CommitPoint::State::kReducing)
    return false;
  if (process.fetch || (process.peers & process.cut) != 0) return false;
  for (int peer = 0; peer < size(); ++peer) {
    if ((process.peers >> peer & 1) == 0) continue;
    const Contribution needed{.ballot = process.participant.entered(),
                              .step = process.participant.step() + 1,
                              .who = static_cast<std::uint8_t>(peer)};
    if (std::find(contributions_.begin(), contributions_.end(), needed) == contributions_.end()) return false;
  }
  return true;
}

template <class Rules>
void World<Rules>::apply(std::uint8_t who) {
  Process& process = processes_[who];
  const Ballot ballot = process.fetch ? process.fetch->ballot : process.participant.entered();
  if (ballot < process.answered && !perils_->consequences_only)
    wrong_ = "a step applied under a ballot older than a seal that was answered";
  const std::uint64_t words[2] = {word(ballot), static_cast<std::uint64_t>(process.participant.step())};
  const std::uint64_t checksum = process.fetch ? process.fetched : xxh3_64(std::as_bytes(std::span(words)));
  process.fetch.reset();
  perform(who, process.participant.applied(checksum));
}

// What is fetched arrives, if a donor can give it.
template <class Rules>
bool World<Rules>::fetch(std::uint8_t who) {
  Process& process = processes_[who];
  const worker::Fetch wanted = *process.fetch;
  if (wanted.what == worker::Fetch::What::kCheckpoint) {
    perform(who, process.participant.restored(wanted.ballot));
    return true;
  }
  for (const Uuid& donor : wanted.donors) {
    const Process& other = processes_[index_of(donor)];
    if (!other.alive || (process.cut >> index_of(donor) & 1) != 0 ||
        !other.participant.serves_state(wanted.ballot, wanted.step))
      continue;
    if (wanted.what == worker::Fetch::What::kState) {
      if (wanted.ballot < process.answered && !perils_->consequences_only)
        wrong_ = "a state fetched under a ballot older than a seal";
      perform(who, process.participant.restored(wanted.ballot));
    } else if (!other.participant.serves_gradient(wanted.ballot, wanted.step)) {
      perform(who, process.participant.no_gradient(wanted.ballot));
    } else {
      if (!process.participant.begin() || !process.participant.reduced()) return false;
      process.fetched = other.participant.checksum();
    }
    return true;
  }
  return false;
}

// Nothing goes wrong before the first epoch.
template <class Rules>
void World<Rules>::reach_first_epoch() {
  while (!packets_.empty()) {
    const Packet packet = packets_.front();
    packets_.erase(packets_.begin());
    if (packet.kind == Packet::Kind::kAnswer) {
      perform(scheduler_->on_answer(uuid_of(packet.who), packet.ballot, packet.answer));
    } else {
      receive(packet);
    }
  }
  for (int who = 0; who < perils_->workers; ++who) fetch(static_cast<std::uint8_t>(who));
  for (int who = 0; who < perils_->workers; ++who)
    perform(scheduler_->on_progress(uuid_of(who), past_.epoch->ballot, 0));
}

template <class Rules>
template <typename Next>
void World<Rules>::step(Next next) const {
  if (over()) return;
  int moves = 0;  // that need no fault: while there are some, no timer comes due in time
  const auto emit = [&](Happening happening, World&& world) {
    world.tidy();
    world.check();
    next(happening, std::move(world));
  };
  // A move of the workers, or of the world around.
  const auto move = [&](Happening happening, auto change) {
    World world = *this;
    change(world);
    emit(happening, std::move(world));
  };
  // The scheduler takes something in. It may crash behind any of the actions that come of it.
  const auto schedule = [&](Happening happening, auto change) {
    World before = *this;
    before.scheduler_ = std::make_shared<Scheduler>(*scheduler_);
    const EpochActions actions = change(before);
    for (std::size_t done = 0; crashes_ > 0 && done <= actions.size(); ++done) {
      World world = before;
      --world.crashes_;
      world.perform(EpochActions(actions.begin(), actions.begin() + static_cast<std::ptrdiff_t>(done)));
      if (!world.over()) world.crash();
      happening.crash_after = static_cast<std::uint8_t>(done);
      emit(happening, std::move(world));
    }
    happening.crash_after = 0xff;
    before.perform(actions);
    emit(happening, std::move(before));
  };
  const auto at = [](Happening::Kind kind, int who, int what = 0) {
    return Happening{.kind = kind, .who = static_cast<std::uint8_t>(who), .what = static_cast<std::uint8_t>(what)};
  };

  for (int i = 0; i < size(); ++i) {
    const auto who = static_cast<std::uint8_t>(i);
    const Process& process = processes_[i];
    const Participant& participant = process.participant;
    if (!process.alive) {
      if (scheduler_ && !process.reported) {
        ++moves;
        schedule(at(Happening::kEnded, i), [&](World& world) {
          world.processes_[i].reported = true;
          return world.scheduler_->on_lost(uuid_of(i), Loss::kEnded);
        });
        if (process.connected && !process.closed)
          schedule(at(Happening::kClosed, i), [&](World& world) {
            world.processes_[i].closed = true;
            return world.scheduler_->on_lost(uuid_of(i), Loss::kClosed);
          });
      }
      continue;
    }
    const worker::CommitPoint::State commit = participant.commit_point().state();
    if (commit == worker::CommitPoint::State::kReduced) {
      ++moves;
      move(at(Happening::kApply, i), [&](World& world) { world.apply(who); });
    }
    if (commit == worker::CommitPoint::State::kIdle && participant.state() == Participant::State::kWorking &&
        participant.step() < perils_->steps) {
      ++moves;
      move(at(Happening::kContribute, i), [&](World& world) {
        world.processes_[i].participant.begin();
        world.contributions_.push_back({.ballot = participant.entered(), .step = participant.step() + 1, .who = who});
      });
    }
    if (can_complete(who)) {
      ++moves;
      move(at(Happening::kComplete, i), [&](World& world) { world.processes_[i].participant.reduced(); });
    }
    if (process.fetch && commit == worker::CommitPoint::State::kIdle) {
      World world = *this;
      if (world.fetch(who)) {
        ++moves;
        emit(at(Happening::kFetch, i), std::move(world));
      }
    }
    if (scheduler_ && !process.connected) {
      ++moves;
      schedule(at(Happening::kRegister, i), [&](World& world) {
        world.processes_[i].connected = true;
        return world.scheduler_->on_registered(uuid_of(i), i, participant.standing());
      });
    }
    if (scheduler_ && process.connected && i >= perils_->workers && !process.ready &&
        participant.sealed() == Ballot{}) {
      ++moves;
      schedule(at(Happening::kReady, i), [&](World& world) {
        world.processes_[i].ready = true;
        return world.scheduler_->on_ready(uuid_of(i));
      });
      for (int donor = 0; donor < perils_->workers && !participant.has_state(); ++donor) {
        const Process& other = processes_[donor];
        if (!other.alive || other.participant.state() != Participant::State::kWorking) continue;
        schedule(at(Happening::kCopy, i, donor), [&](World& world) {
          world.processes_[i].participant.copied(other.participant.step(), other.participant.chain(),
                                                 other.participant.previous_chain());
          world.processes_[i].ready = true;
          return world.scheduler_->on_ready(uuid_of(i));
        });
      }
    }
    const bool in_epoch =
        scheduler_ && process.connected && past_.epoch && participant.entered() == past_.epoch->ballot;
    // Heartbeats: only where they tell the scheduler something that it acts upon.
    if (in_epoch &&
        (participant.step() == perils_->steps || suspicions_ < perils_->suspicions || perils_->joiners > 0)) {
      World world = *this;
      world.scheduler_ = std::make_shared<Scheduler>(*scheduler_);
      std::uint64_t seen = 0;
      std::uint64_t then = 0;
      const auto fold = [](std::uint64_t& sum) {
        return [&sum](std::uint64_t value) { sum = (sum ^ value) * 0x9E3779B97F4A7C15ULL + 1; };
      };
      scheduler_->digest(fold(seen));
      world.scheduler_->on_progress(uuid_of(i), participant.entered(), participant.step());
      world.scheduler_->digest(fold(then));
      if (seen != then) {
        ++moves;
        schedule(at(Happening::kProgress, i), [&](World& changed) {
          return changed.scheduler_->on_progress(uuid_of(i), participant.entered(), participant.step());
        });
      }
    }
    if (kills_ > 0)
      move(at(Happening::kKill, i), [&](World& world) {
        --world.kills_;
        world.processes_[i].alive = false;
      });
    for (int peer = i + 1; cuts_ > 0 && peer < size(); ++peer) {
      if (!processes_[peer].alive) continue;
      move(at(Happening::kCut, i, peer), [&](World& world) {
        --world.cuts_;
        world.processes_[i].cut = static_cast<std::uint8_t>(world.processes_[i].cut | 1U << peer);
        world.processes_[peer].cut = static_cast<std::uint8_t>(world.processes_[peer].cut | 1U << i);
      });
    }
    if (in_epoch && (process.cut & process.peers) != 0 && process.noticed != participant.entered() &&
        participant.state() != Participant::State::kOutside) {
      ++moves;
      schedule(at(Happening::kNotice, i), [&](World& world) {
        std::vector<Uuid> peers;
        for (int peer = 0; peer < size(); ++peer) {
          if ((process.cut & process.peers) >> peer & 1) peers.push_back(uuid_of(peer));
        }
        world.processes_[i].noticed = participant.entered();
        world.processes_[i].participant.lost(peers);
        return world.scheduler_->on_peers_lost(uuid_of(i), participant.entered());
      });
    }
    if (in_epoch && suspicions_ > 0) {
      schedule(at(Happening::kHung, i), [&](World& world) {
        --world.suspicions_;
        return world.scheduler_->on_lost(uuid_of(i), Loss::kHung);
      });
      schedule(at(Happening::kClosed, i), [&](World& world) {
        --world.suspicions_;
        return world.scheduler_->on_lost(uuid_of(i), Loss::kClosed);
      });
      schedule(at(Happening::kSilent, i), [&](World& world) {
        --world.suspicions_;
        return world.scheduler_->on_lost(uuid_of(i), Loss::kSilent);
      });
      schedule(at(Happening::kPeersLost, i), [&](World& world) {
        --world.suspicions_;
        return world.scheduler_->on_peers_lost(uuid_of(i), participant.entered());
      });
    }
  }

  for (std::size_t m = 0; m < packets_.size(); ++m) {
    const Packet& packet = packets_[m];
    if (m > 0 && packets_[m - 1].key == packet.key) continue;
    const auto without = [m](World& world) {
      world.packets_.erase(world.packets_.begin() + static_cast<std::ptrdiff_t>(m));
    };
    const int kind = static_cast<int>(packet.kind);
    ++moves;
    if (packet.kind == Packet::Kind::kAnswer) {
      schedule(at(Happening::kDeliver, packet.who, kind), [&](World& world) {
        without(world);
        return world.scheduler_->on_answer(uuid_of(packet.who), packet.ballot, packet.answer);
      });
    } else {
      move(at(Happening::kDeliver, packet.who, kind), [&](World& world) {
        without(world);
        world.receive(packet);
      });
    }
    if (losses_ > 0)
      move(at(Happening::kLose, packet.who, kind), [&](World& world) {
        --world.losses_;
        without(world);
      });
    if (repeats_ > 0)
      move(at(Happening::kRepeat, packet.who, kind), [&](World& world) {
        --world.repeats_;
        world.packets_.push_back(packet);
      });
  }

  if (!scheduler_) {
    ++moves;
    World before = *this;
    before.start_scheduler();
    const EpochActions actions = before.scheduler_->start();
    for (std::size_t done = 0; crashes_ > 0 && done <= actions.size(); ++done) {
      World world = before;
      --world.crashes_;
      world.perform(EpochActions(actions.begin(), actions.begin() + static_cast<std::ptrdiff_t>(done)));
      world.crash();
      Happening happening = at(Happening::kRestart, 0);
      happening.crash_after = static_cast<std::uint8_t>(done);
      emit(happening, std::move(world));
    }
    before.perform(actions);
    emit(at(Happening::kRestart, 0), std::move(before));
  } else if (crashes_ > 0) {
    move(at(Happening::kCrash, 0), [](World& world) {
      --world.crashes_;
      world.crash();
    });
  }

  for (std::size_t t = 0; scheduler_ && t < timers_.size(); ++t) {
    const Timer timer = timers_[t];
    const bool repeats = timer.kind == Timer::Kind::kReaped || timer.kind == Timer::Kind::kAnnounce;
    const bool in_time = moves == 0 || timer.kind == Timer::Kind::kSuspicion;
    if (!in_time && (repeats || early_timers_ == 0)) continue;
    schedule(at(Happening::kTimer, 0, static_cast<int>(timer.kind)), [&](World& world) {
      if (!in_time) --world.early_timers_;
      world.timers_.erase(world.timers_.begin() + static_cast<std::ptrdiff_t>(t));
      return world.scheduler_->on_timer(timer);
    });
  }
}

// Forgets what cannot make a difference any more, and brings the rest into one order.
template <class Rules>
void World<Rules>::tidy() {
  std::erase_if(contributions_, [&](const Contribution& one) {
    return std::none_of(processes_.begin(), processes_.end(), [&](const Process& process) {
      return process.alive && process.participant.entered() == one.ballot && process.participant.step() + 1 == one.step;
    });
  });
  std::sort(contributions_.begin(), contributions_.end());
  std::erase_if(packets_, [&](const Packet& packet) {
    const Process& process = processes_[packet.who];
    if (packet.kind == Packet::Kind::kAnswer) {
      if (!scheduler_) return true;
      return !perils_->stale_messages && packet.ballot != scheduler_->round() && packet.who < perils_->workers;
    }
    if (!process.alive) return true;
    if (perils_->stale_messages) return false;
    if (packet.kind == Packet::Kind::kSeal) return packet.ballot < process.participant.sealed();
    if (packet.kind == Packet::Kind::kEpoch)
      return packet.ballot < process.participant.sealed() || packet.ballot == process.participant.entered();
    return false;
  });
  std::sort(packets_.begin(), packets_.end(), [](const Packet& a, const Packet& b) { return a.key < b.key; });
  if (!scheduler_) return;
  std::erase_if(timers_, [&](const Timer& timer) {
    if (timer.kind != Timer::Kind::kAnnounce) return timer.ballot != scheduler_->round();
    return !scheduler_->epoch() || timer.ballot != scheduler_->epoch()->ballot ||
           scheduler_->state() != Scheduler::State::kRunning;
  });
  std::sort(timers_.begin(), timers_.end(),
            [](const Timer& a, const Timer& b) { return std::pair(a.kind, a.ballot) < std::pair(b.kind, b.ballot); });
}

template <class Rules>
void World<Rules>::check() {
  for (int i = 0; i < size() && wrong_.empty(); ++i) {
    for (int j = 0; j < size(); ++j) {
      const Participant& a = processes_[i].participant;
      const Participant& b = processes_[j].participant;
      const auto takes_part = [](const Process& process) {
        return process.alive && process.participant.has_state() && process.participant.entered() != Ballot{};
      };
      if (i == j || !takes_part(processes_[i]) || !takes_part(processes_[j])) continue;
      if (a.step() == b.step() && a.chain() != b.chain())
        wrong_ = fmt::format("workers {} and {} applied different gradients", i, j);
      if (a.step() == b.step() + 1 && a.previous_chain() != b.chain())
        wrong_ = fmt::format("worker {} went on from another state than worker {}'s", i, j);
      if (a.step() > b.step() + 1) wrong_ = fmt::format("worker {} is two steps ahead of worker {}", i, j);
    }
  }
  if (scheduler_ && scheduler_->round().attempt > 60) wrong_ = "round after round without end";
}

template <class Rules>
std::uint64_t World<Rules>::digest() const {
  std::vector<std::uint64_t> words;
  words.reserve(256);
  const auto sink = [&](std::uint64_t value) { words.push_back(value); };
  for (const std::int8_t left : {kills_, suspicions_, early_timers_, losses_, repeats_, crashes_, cuts_})
    sink(static_cast<std::uint64_t>(left));
  sink(excluded_ | std::uint64_t{released_} << 32 | std::uint64_t{gave_up_} << 33);
  for (const Process& process : processes_) {
    sink(std::uint64_t{process.alive} | std::uint64_t{process.connected} << 1 | std::uint64_t{process.reported} << 2 |
         std::uint64_t{process.closed} << 3 | std::uint64_t{process.ready} << 4 |
         std::uint64_t{process.fetch.has_value()} << 5 | std::uint64_t{process.peers} << 8);
    if (!process.alive) continue;  // what it held is gone
    sink(word(process.answered));
    sink(word(process.noticed) << 8 | process.cut);
    if (process.fetch) {
      sink(word(process.fetch->ballot));
      sink(process.fetched);
    }
    process.participant.digest(sink);
  }
  sink(past_.term);
  sink(past_.epoch ? word(past_.epoch->ballot) : 0);
  sink(past_.quarantined.size());
  for (const Uuid& uuid : past_.quarantined) sink(uuid.bytes[0]);
  sink(timers_.size());
  for (const Timer& timer : timers_) sink(static_cast<std::uint64_t>(timer.kind) << 56 | word(timer.ballot));
  sink(packets_.size());
  for (const Packet& packet : packets_) sink(packet.key);
  sink(contributions_.size());
  for (const Contribution& one : contributions_)
    sink(word(one.ballot) << 8 | static_cast<std::uint64_t>(one.step) << 4 | one.who);
  sink(scheduler_ ? 1 : 0);
  if (scheduler_) scheduler_->digest(sink);
  return xxh3_64(std::as_bytes(std::span(words)));
}

inline std::string text_of(const Happening& happening) {
  static constexpr const char* kKinds[] = {"contributes to a reduction",
                                           "completes a reduction",
                                           "applies",
                                           "fetches",
                                           "receives or sends, delivered:",
                                           "message lost:",
                                           "message repeated:",
                                           "timer",
                                           "is reported dead",
                                           "its connection is closed",
                                           "is silent",
                                           "misses peers",
                                           "reports progress",
                                           "registers",
                                           "is ready",
                                           "is ready with a copy of",
                                           "is killed",
                                           "the scheduler crashes",
                                           "the scheduler starts again",
                                           "is taken for hung",
                                           "is cut off from",
                                           "notices that it is cut off"};
  static constexpr const char* kPackets[] = {"SEAL", "an answer", "EPOCH", "an order to kill"};
  std::string text = fmt::format("worker {} {}", happening.who, kKinds[happening.kind]);
  const bool of_packet = happening.kind == Happening::kDeliver || happening.kind == Happening::kLose ||
                         happening.kind == Happening::kRepeat;
  if (of_packet) text += fmt::format(" {}", kPackets[happening.what]);
  if (happening.kind == Happening::kTimer || happening.kind == Happening::kCopy || happening.kind == Happening::kCut)
    text += fmt::format(" {}", happening.what);
  if (happening.crash_after != 0xff) text += fmt::format("; crash after {} actions", happening.crash_after);
  return text;
}

}  // namespace convoy::scheduler
