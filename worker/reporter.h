// A worker's line to the scheduler: one thread that sends heartbeats, receives, and watches for signals, so that the
// training thread never waits for the control plane.
#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cluster/link.h"
#include "core/base/log.h"
#include "core/base/signals.h"

namespace convoy::worker {

struct ReporterOptions {
  cluster::Credentials scheduler;
  Uuid self;
  std::chrono::milliseconds heartbeat{1000};
  std::chrono::milliseconds scheduler_silence{30'000};  // after which nothing is expected of the scheduler any more
  std::function<std::uint64_t()> activity;              // grows while the training thread computes
  // All three are called from the reporter's thread.
  std::function<void()> on_stop;           // once, when the run is to end: by then stop() tells why
  std::function<void()> on_second_signal;  // the user asked again; may be empty
};

class Reporter {
 public:
  // Connects and starts the thread.
  Reporter(ReporterOptions options, SignalReceiver& signals, Logger& logger);
  ~Reporter();
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;

  // Registers and waits for the membership. Throws Error(kInvalidArgument) when the scheduler refuses this
  // worker, Error(kInterrupted) when the run stops first, Error(kPeerLost) when the scheduler is gone or silent.
  struct Membership {
    Ballot ballot;
    cluster::Epoch epoch;
  };
  Membership join(cluster::Register registration);

  // What heartbeats say from now on.
  void set_position(std::int64_t step, cluster::Phase phase);
  void send(cluster::Body body);
  // These wait until the scheduler has written every step up to `step`, or the final report and all before it. Throw
  // like join().
  void wait_until_recorded(std::int64_t step);
  void wait_until_final_recorded();

  // Whether the run is to stop after the step under way and a checkpoint.
  bool finishes_step() const { return finishes_step_; }
  std::optional<cluster::Stop> stop() const;
  // The same, but waits for it: a lost peer is noticed before the scheduler has said what became of it. Not for a
  // scheduler that is known to be lost itself.
  std::optional<cluster::Stop> wait_for_stop(std::chrono::milliseconds timeout) const;

  // The last message, sent before the process exits.
  void leave(const cluster::Leave& leave);

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  void watch_scheduler(Clock::time_point now);
  template <typename Done>
  void wait_for_scheduler(std::unique_lock<std::mutex>& lock, Done done);
  void handle(const cluster::Message& message);
  void handle_signals();
  void end(const cluster::Stop& stop, const std::optional<std::string>& lost = std::nullopt);
  void check(const std::unique_lock<std::mutex>& lock) const;

  const ReporterOptions options_;
  SignalReceiver& signals_;
  cluster::Link link_;
  Logger& logger_;
  std::optional<Clock::time_point> signalled_;  // first that was no announcement
  Clock::time_point last_watch_;                // of the scheduler, by this thread
  std::atomic<std::int64_t> step_{0};
  std::atomic<cluster::Phase> phase_{cluster::Phase::kStarting};
  std::atomic<bool> finishes_step_{false};
  std::atomic<bool> closing_{false};

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Ballot ballot_;
  std::optional<Membership> membership_;
  std::optional<std::string> refusal_;
  std::optional<cluster::Stop> stop_;
  std::optional<std::string> lost_;  // what became of the scheduler
  Clock::time_point heard_;          // of the scheduler; it writes several times a second to whoever has registered
  bool waiting_ = false;             // for the scheduler
  std::int64_t recorded_step_ = 0;
  bool final_recorded_ = false;
  std::thread thread_;
};

}  // namespace convoy::worker
