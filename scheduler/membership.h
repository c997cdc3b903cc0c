// Who is in the run, and when it must end: a pure state machine. Messages and the passing of time go in, actions come
// out; it owns no socket, no file and no clock, so every rule is tested without any. scheduler.cpp carries it out.
//
//   gathering ──(all registered)──▶ running ──(all left, complete or as wished)──▶ ended
//       └──────(timeout, mismatch, death, request)──▶ stopping ──(all gone, or the grace is over)──▶ ended
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cluster/messages.h"
#include "core/base/ballot.h"
#include "core/base/fingerprint.h"
#include "core/base/uuid.h"
#include "scheduler/records.h"

namespace convoy::scheduler {

using Time = std::chrono::steady_clock::time_point;

// In seconds.
struct Limits {
  double start_timeout = 60.0;  // for all workers to register
  double suspect = 5.0;         // silence after which a worker counts as lost
  double hang = 30.0;           // longest time without progress (or 5 × the longest step so far, if that is more)
  double settle = 0.4;          // how long a consequence (a worker that gives up) waits for its cause (one that died)
  double stop_grace = 10.0;     // for workers to leave after a Stop (or twice the longest step so far)
};

// The run before this start of its scheduler.
struct Past {
  std::int64_t step = 0;           // of the checkpoint that it goes on from; 0: it begins
  std::string run_directory{};     // this and the program: for messages
  std::string program = "convoy";  // whose `resume` goes on with the run
};

// What the owner of a Membership must do, in this order.
struct JournalEpoch {
  Ballot ballot;
  cluster::Epoch epoch;
};
struct Send {
  Uuid to;
  cluster::Body body;  // under ballot()
};
using Action = std::variant<JournalEpoch, Send, Event>;
using Actions = std::vector<Action>;

struct Outcome {
  int exit_code = 1;
  std::string reason;  // one line, empty when all is well
};

class Membership {
 public:
  Membership(std::uint64_t term, std::int32_t world, const Limits& limits, Time now, Past past = {});

  // What comes in.
  Actions on_message(const cluster::Message& message, Time now);
  Actions on_tick(Time now);                                             // several times a second
  Actions on_closed(const Uuid& worker, Time now);                       // its connection is closed
  Actions on_stop_request(int exit_code, std::string reason, Time now);  // at once
  // A signal asks the run to stop: after the step under way and a checkpoint, or at once where nothing is lost.
  Actions on_stop_wish(std::string reason, Time now);

  // What stands.
  const Ballot& ballot() const { return ballot_; }
  const std::optional<Outcome>& outcome() const { return outcome_; }  // once the run has ended
  bool gathering() const { return state_ == State::kGathering; }
  std::optional<std::int32_t> rank_of(const Uuid& worker) const;
  // Whether a report may be recorded: it comes from rank 0 under the current ballot.
  bool may_report(const cluster::Message& message) const;
  std::vector<Uuid> workers() const;  // registered and not known to be gone, by rank
  const std::set<Uuid>& agents() const { return agents_; }

 private:
  enum class State { kGathering, kRunning, kStopping };
  struct Worker {
    cluster::Member member;
    Fingerprint fingerprint;
    Time heard;
    Time moved;  // when its training thread was last seen to get on
    std::int64_t step = 0;
    cluster::Phase phase = cluster::Phase::kStarting;
    std::uint64_t activity = 0;
    bool gone = false;  // left, ended, or its connection is closed
    std::optional<cluster::Leave> leave;
  };
  // Why the run will stop; the strongest cause that shows up before `due` is the one that is named.
  enum class Strength { kClosed, kGaveUp, kEnded, kKilled };
  struct Cause {
    Strength strength;
    std::int32_t rank;
    Outcome outcome;
    Time due;
  };

  void receive(const Uuid& sender, const cluster::Register& message, Time now, Actions& actions);
  void receive(Worker& worker, const cluster::Leave& message, Time now, Actions& actions);
  void receive(const cluster::WorkerEnded& message, Time now, Actions& actions);
  void receive(Worker& worker, const cluster::Heartbeat& message, Time now);
  void receive(const cluster::StepReport& message, Time now);

  void refuse(const Uuid& sender, std::int32_t rank, std::string reason, Actions& actions);
  void begin(Time now, Actions& actions);
  void add_cause(Cause cause);
  void check_silence(Time now, Actions& actions);
  void check_progress(Time now, Actions& actions);
  void stop(Outcome outcome, Time now, Actions& actions);
  void wish_to_stop(std::string reason, Time now, Actions& actions);
  void check_wish(Time now, Actions& actions);
  std::string after_checkpoint(const std::string& reason) const;
  void conclude(Time now, Actions& actions);

  Worker* find(const Uuid& uuid);
  std::int64_t step_of(const Worker& worker) const;
  std::string position_of(const Worker& worker) const;
  Event event(std::string kind, const Worker* worker, std::string detail) const;

  const std::int32_t world_;
  const Limits limits_;
  const Time start_;
  const Past past_;
  State state_ = State::kGathering;
  Ballot ballot_;
  std::map<std::int32_t, Worker> workers_;  // by rank
  std::set<Uuid> agents_;
  std::optional<Cause> cause_;
  std::optional<Outcome> outcome_;
  Outcome stopping_with_;
  Time stopping_since_;
  Time last_tick_;
  Time last_step_;                // when the workers last completed a step together
  std::int64_t reported_step_;    // the last one that stands on record
  std::int64_t checkpoint_step_;  // of the last checkpoint
  // Once a signal asked the run to stop: why, when, and what rank 0 said when it left.
  std::optional<std::string> wish_;
  Time wish_since_;
  std::string stopped_where_;
  double longest_step_s_ = 0.0;
  bool final_reported_ = false;
};

}  // namespace convoy::scheduler
