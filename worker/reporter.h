// A worker's line to the scheduler: one thread that sends heartbeats, receives, and watches for signals, so that the
// training thread never waits for the control plane. A scheduler that ends is awaited: one that was started in its
// place answers at the same address.
#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cluster/link.h"
#include "core/base/log.h"
#include "core/base/signals.h"
#include "worker/outbox.h"

namespace convoy::worker {

struct ReporterOptions {
  cluster::Credentials scheduler;
  Uuid self;
  std::chrono::milliseconds heartbeat{1000};
  // After which nothing is expected any more of a scheduler that is silent, or gone.
  std::chrono::milliseconds scheduler_silence{30'000};
  std::function<std::uint64_t()> activity;      // grows while the training thread computes
  std::function<cluster::Standing()> standing;  // any thread
  // All of these are called from the reporter's thread.
  std::function<void(const Ballot&, const cluster::Seal&)> on_seal;
  std::function<void(const Ballot&, const cluster::Epoch&)> on_epoch;
  std::function<void()> on_end;            // once: the run is over, for this worker at least; ending() tells how
  std::function<void()> on_second_signal;  // the user asked again; may be empty
  // Asked before each try to reach a scheduler that is lost; may be empty: it comes back where it was.
  std::function<cluster::Credentials()> find_scheduler{};
};

class Reporter {
 public:
  // Connects and starts the thread.
  Reporter(ReporterOptions options, SignalReceiver& signals, Logger& logger);
  ~Reporter();
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;

  // The first message, and the first to any scheduler that follows; none if the run is known to end.
  void enroll(cluster::Register registration);
  // What follows is said under this ballot; `leads`: as the rank that reports for all.
  void enter(const Ballot& ballot, bool leads);
  // What heartbeats say from now on.
  void set_position(std::int64_t step, cluster::Phase phase);
  // Sent once.
  void send(cluster::Body body);
  void send(const Ballot& ballot, cluster::Body body);
  // With whom the epoch of this ballot cannot go on: said again with every heartbeat until a later round is answered.
  void lose_peers(const Ballot& ballot, cluster::PeersLost lost);
  // Of a step: sent by whoever leads, and kept until the scheduler has it on record.
  void report(std::int64_t step, cluster::Body body);

  // Whether the scheduler has written every step up to `step`, or wants a checkpoint whatever it has: for whoever asks
  // until it has. Throws Error(kPeerLost) when the scheduler is gone or silent, Error(kInterrupted) when the run ends.
  bool recorded(std::int64_t step);

  // What no scheduler is known to have on record, and that somebody else has put it there.
  std::vector<cluster::Body> unrecorded() const;
  void recorded_elsewhere(std::int64_t step);

  // Whether the run is to stop after the step under way and a checkpoint.
  bool finishes_step() const { return finishes_step_; }

  // How the run ended, if it did.
  enum class End : std::uint8_t {
    kComplete,  // the final report stands on record
    kStopped,   // stop() says how
    kRefused,   // this worker may not take part, nor may another that is started like it
    kExcluded,  // this worker takes part no more; another may come in its place
    kLost       // the scheduler
  };
  std::optional<End> ending() const;
  std::optional<cluster::Stop> stop() const;
  // Throws what the ending comes to: Error(kUsage) for a refusal, Error(kInvalidArgument) for an exclusion,
  // Error(kPeerLost), Error(kInterrupted).
  [[noreturn]] void fail_ended() const;

  // The last message, sent before the process exits.
  void leave(const cluster::Leave& leave);

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  bool receive();
  void reconnect(Clock::time_point now);
  void register_again();
  bool hear_again(Clock::time_point now);
  void beat();
  void watch_scheduler(Clock::time_point now);
  void handle(const cluster::Message& message);
  void handle_signals();
  void end(End how, std::string why);
  void end_lost(std::string why);
  void end_stopped(const std::string& why);
  void queue(const Ballot& ballot, cluster::Body body);
  void send_reports();
  bool enrolled() const;
  // Whether it is on the way into a run that was asked to stop, and is not told when it has.
  bool is_too_late() const;

  const ReporterOptions options_;
  SignalReceiver& signals_;
  Logger& logger_;
  std::optional<Clock::time_point> signalled_;   // first that was no announcement
  Clock::time_point last_watch_;                 // of the scheduler, by this thread
  std::optional<Clock::time_point> lost_since_;  // the line is down
  bool met_ = false;                             // anything was heard of a scheduler
  Clock::time_point next_attempt_;
  std::optional<Clock::time_point> asked_at_;  // over a new line, and not answered yet
  std::atomic<std::int64_t> step_{0};
  std::atomic<cluster::Phase> phase_{cluster::Phase::kStarting};
  std::atomic<bool> finishes_step_{false};
  std::atomic<bool> joins_{false};  // a run that is under way, and is not a member yet
  std::atomic<bool> closing_{false};

  mutable std::mutex mutex_;
  std::unique_ptr<cluster::Link> link_;  // replaced by this object's thread only
  std::optional<cluster::Register> registration_;
  Ballot ballot_;
  bool leads_ = false;
  std::optional<std::string> wish_;  // of a signal, repeated until somebody heeds it
  std::optional<std::pair<Ballot, cluster::PeersLost>> lost_peers_;
  Outbox outbox_;
  std::int64_t oldest_report_ = Outbox::kNone;  // in it, a heartbeat ago
  std::optional<End> ending_;
  std::string why_;  // it ended
  std::optional<cluster::Stop> stop_;
  Clock::time_point heard_;  // of the scheduler; it writes several times a second to whoever has registered
  bool waiting_ = false;     // for the scheduler
  std::int64_t recorded_step_ = 0;
  std::thread thread_;
};

}  // namespace convoy::worker
