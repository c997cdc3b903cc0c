// The run as its scheduler sees it: who comes, who is lost and how, who hangs, when and why it ends. A pure state
// machine: messages and the passing of time go in, actions come out; it owns no socket, no file and no clock, so every
// rule is tested without any. scheduler.cpp carries it out.
//
// Which workers form the run is decided by Epochs, which this feeds and whose decisions it turns into messages; the
// four sources are who comes and how they do (membership.cpp), who is lost (membership_losses.cpp), what Epochs wants
// done (membership_epochs.cpp) and how the run ends (membership_end.cpp).
//
//   gathering ──▶ running ──(final report on disk, all left | all stopped as wished)──▶ ended
//       │            ├──(too few workers)──▶ saving ──▶ stopping ──▶ ended
//       └────────────┴──(timeout, mismatch, what would befall every worker)──▶ stopping
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cluster/messages.h"
#include "core/base/ballot.h"
#include "core/base/fingerprint.h"
#include "core/base/uuid.h"
#include "scheduler/epochs.h"
#include "scheduler/hang_watch.h"
#include "scheduler/journal.h"
#include "scheduler/known_workers.h"
#include "scheduler/records.h"
#include "scheduler/roster.h"
#include "scheduler/run_view.h"

namespace convoy::scheduler {

// In seconds.
struct Limits {
  double start_timeout = 60.0;  // for all workers to register
  double suspect = 5.0;         // silence after which a worker counts as lost
  double hang = 30.0;           // longest time without progress (or 5 × the longest step so far, if that is more)
  double settle = 0.4;          // how long a consequence (a worker that gives up) waits for its cause (one that died)
  double stop_grace = 10.0;     // for workers to leave after a Stop (or twice the longest step so far)
  double too_few = 60.0;        // how long the run waits for workers when there are too few
};

struct MembershipOptions {
  std::int32_t world = 1;        // workers to begin with
  std::int32_t min_workers = 1;  // with fewer the run waits
  std::int32_t max_workers = 0;  // more are refused; 0: any number
  std::int64_t steps = 0;        // of the run
  bool rebuilds = true;  // communicators can be rebuilt: a death costs no step. Else it ends the run (engine mpi)
  Limits limits;
};

// The run before this start of its scheduler.
struct Past {
  std::uint64_t term = 1;            // of this start
  std::int64_t step = 0;             // of the checkpoint that it goes on from; 0: it begins
  std::int64_t checkpoint_step = 0;  // of the newest that stands
  std::string run_directory{};       // this and the program: for messages
  std::string program = "convoy";    // whose `resume` goes on with the run

  // Where only the scheduler was started anew, and the workers may live: what its journal and records hold.
  bool restarted = false;
  std::vector<JournalRecord> journal{};
  std::vector<std::string> damage{};  // to the journal, a line each
  KnownWorkers known{};
  std::int64_t recorded_step = 0;
  bool final_recorded = false;
};

// What the owner of a Membership must do, in this order. Where a record cannot be appended, nothing that stands behind
// it may be done.
struct Append {
  JournalRecord record;
};
struct Send {
  Uuid to;
  cluster::Body body;
  Ballot ballot;
};
struct Tell {  // the user, by a line on the terminal
  std::string text;
};
using Action = std::variant<Append, Send, Event, Tell>;
using Actions = std::vector<Action>;

struct Outcome {
  int exit_code = 1;
  std::string reason;  // one line, empty when all is well
};

// For workers to find a scheduler that was started anew, in seconds.
inline constexpr double kReconnect = 5.0;

class Membership {
 public:
  Membership(const MembershipOptions& options, Past past, Time now);

  // Goes on where a scheduler that was started anew has to. Once, before anything comes in.
  Actions start(Time now);

  // What comes in.
  Actions on_message(const cluster::Message& message, Time now);
  Actions on_tick(Time now);                                             // several times a second, and at next_due()
  Actions on_closed(const Uuid& connection, Time now);                   // of a worker or an agent
  Actions on_final_recorded(Time now);                                   // the final report is on disk
  Actions on_stop_request(int exit_code, std::string reason, Time now);  // at once
  // A signal asks the run to stop: after the step under way and a checkpoint, or at once where nothing is lost.
  Actions on_stop_wish(std::string reason, Time now);
  // The journal cannot be written, so that no membership can be agreed on any more, or the other records: the state
  // goes into a checkpoint, and the run stops.
  Actions on_records_lost(std::string reason, Time now);
  // A scheduler of a later term has taken over: this one ends, and nobody else does.
  void on_superseded(std::string reason) { outcome_ = Outcome{.exit_code = 1, .reason = std::move(reason)}; }

  // What stands.
  const Ballot& ballot() const { return epochs_.round(); }            // of messages that belong to no epoch
  const std::optional<Outcome>& outcome() const { return outcome_; }  // once the run has ended
  bool gathering() const { return ending_ == Ending::kNone && epochs_.state() == Epochs::State::kGathering; }
  std::optional<Time> next_due() const;
  std::optional<std::int32_t> number_of(const Uuid& worker) const;
  Ballot epoch_ballot() const;
  // Whether a report may be recorded: it comes from rank 0 of the epoch, or from who writes the last checkpoint; that
  // of a step which the epoch has behind it from any member.
  bool may_report(const cluster::Message& message) const;
  std::vector<Uuid> connections() const;  // registered workers and agents not known to be gone
  std::vector<Uuid> workers() const;      // the workers among them, by number
  std::vector<Uuid> agents() const { return roster_.agents(); }
  // State, reason, ballot and workers; the rest is others' to know.
  RunView view(Time now) const;

 private:
  enum class Ending { kNone, kSaving, kStopping };
  // What is to be said of a run that ends for want of workers, or could not begin: the strongest cause is named.
  enum class Strength { kClosed, kGaveUp, kEnded, kKilled };
  struct Cause {
    Strength strength{};
    Uuid worker;
    Outcome outcome;
    std::optional<Time> due;  // the run stops then; nothing: it goes on
  };

  // membership.cpp
  void receive(const Uuid& sender, const cluster::Register& message, Time now, Actions& actions);
  void receive(const cluster::Message& message, const cluster::StepReport& report, Time now, Actions& actions);
  std::optional<std::string> objection(const cluster::Register& message) const;
  void refuse(const Uuid& sender, const cluster::Register& message, std::string reason, Actions& actions,
              const std::string& who = "");
  bool refuse_misfit(const Uuid& sender, const cluster::Register& message, Time now, Actions& actions);
  void receive_early(Time now, Actions& actions);
  void check_start(Time now, Actions& actions);
  void check_silence(Time now, Actions& actions);
  void check_hang(Time now, Actions& actions);

  // membership_losses.cpp
  void receive(const Uuid& agent, const cluster::WorkerEnded& message, Time now, Actions& actions);
  void note_replaced(const std::string& host, const cluster::WorkerEnded& message, std::int32_t number);
  void receive_unregistered(const std::string& host, const cluster::WorkerEnded& message, Cause cause, Time now,
                            Actions& actions);
  void receive(Worker& worker, const cluster::Leave& message, Time now, Actions& actions);
  void lose(Worker& worker, Loss loss, Cause cause, Time now, Actions& actions);
  void lose_agent(const std::string& host, Time now, Actions& actions);
  void tell_lost(Worker& worker, const std::string& how, const std::string& why, Actions& actions);
  void tell_user_lost(const Worker& worker, const std::string& what, Actions& actions);

  // membership_epochs.cpp
  void feed(EpochActions decided, Time now, Actions& actions);
  void carry_out(const SendSeal& action, Time now, Actions& actions);
  void carry_out(const SendEpoch& action, Time now, Actions& actions);
  void carry_out(const Kill& action, Time now, Actions& actions);
  void carry_out(const JournalPlan& action, Time now, Actions& actions);
  void carry_out(const JournalQuarantine& action, Time now, Actions& actions);
  void carry_out(const JournalCheckpoint& action, Time now, Actions& actions);
  void carry_out(const SetTimer& action, Time now, Actions& actions);
  void carry_out(const Withdrawn& action, Time now, Actions& actions);
  void carry_out(const Release& action, Time now, Actions& actions);
  void carry_out(const GiveUp& action, Time now, Actions& actions);
  cluster::Epoch message_of(const EpochPlan& plan) const;
  std::string description_of(const EpochPlan& plan) const;
  std::string newcomers_of(const EpochPlan& plan) const;
  double duration_of(Timer::Kind kind, Time now) const;
  void fire_timers(Time now, Actions& actions);
  bool may_answer_yet(const Timer& timer, Time now) const;
  void check_answers(Time now, Actions& actions);
  void check_excluding(Time now, Actions& actions);
  void feed_progress(const Uuid& worker, const Ballot& ballot, std::int64_t applied, Time now, Actions& actions);
  void feed_departed(Time now, Actions& actions);
  bool nobody_comes(Time now) const;
  void hurry_if_nobody_comes(Time now, Actions& actions);
  void recall_workers();
  std::int32_t new_number() const;
  std::vector<Worker*> members();
  bool is_member(const Uuid& worker) const;

  // membership_end.cpp
  void add_cause(Cause cause);
  void stop(Outcome outcome, Time now, Actions& actions);
  void save(std::vector<Uuid> holders, std::string reason, Time now, Actions& actions);
  void ask_next_holder(Time now, Actions& actions);
  void check_saving(Time now, Actions& actions);
  void on_saved(Time now, Actions& actions);
  void receive_wish(const Uuid& sender, const cluster::StopRequest& message, Time now, Actions& actions);
  void wish_to_stop(std::string reason, Time now, Actions& actions);
  void check_wish(Time now, Actions& actions);
  Outcome without_workers(const std::string& reason) const;
  std::string go_on() const;
  std::string after_checkpoint(const std::string& reason) const;
  bool nobody_is_left(Time now) const;
  void check_leaving(Time now);
  void conclude(Time now, Actions& actions);

  RunState run_state() const;
  std::int64_t step_of(const Worker& worker) const;
  std::string position_of(const Worker& worker) const;
  Event event(std::string kind, const Worker* worker, std::string detail) const;
  static void append(JournalRecord record, Actions& actions);
  void send(const Uuid& to, cluster::Body body, Actions& actions) const;
  void send_agents(const cluster::Body& body, Actions& actions) const;

  const MembershipOptions options_;
  const Past past_;
  const Time start_;
  Epochs epochs_;
  Roster roster_;
  HangWatch watch_;

  // Of Epochs.
  std::vector<std::pair<Time, Timer>> timers_;
  std::vector<EpochActions> decided_;  // what is yet to be carried out
  bool carrying_out_ = false;
  std::optional<EpochPlan> last_plan_;           // the last epoch that was announced
  std::optional<Time> excluding_since_;          // since when the epoch waits for that
  std::optional<std::int64_t> last_standstill_;  // where everybody waited for another

  // By host and pid: the number that whoever comes in the place of a worker that ended will have.
  std::map<std::pair<std::string, std::int32_t>, std::int32_t> replaced_;
  // Host and pid of processes that are no workers: refused, or ended (and told so) before they registered; those have
  // numbers too.
  std::set<std::pair<std::string, std::int32_t>> refused_;
  std::map<std::pair<std::string, std::int32_t>, std::int32_t> told_ends_;
  std::optional<Fingerprint> fingerprint_;                 // of the first worker
  std::vector<std::pair<Uuid, cluster::Register>> early_;  // who came before anybody who knows the run's

  std::int64_t reported_step_;    // the last one that stands on record
  std::int64_t checkpoint_step_;  // of the last checkpoint
  bool final_recorded_ = false;
  Time final_since_;

  Ending ending_ = Ending::kNone;
  std::optional<Cause> cause_;
  std::optional<Outcome> outcome_;
  Outcome stopping_with_;
  Time stopping_since_;
  // While saving: who is to write the checkpoint, who might instead, why.
  std::optional<Uuid> saver_;
  std::vector<Uuid> holders_;
  std::string saving_for_;
  // Once a signal asked the run to stop: why, when, and what rank 0 said when it left.
  std::optional<std::string> wish_;
  Time wish_since_;
  std::string stopped_where_;
};

}  // namespace convoy::scheduler
