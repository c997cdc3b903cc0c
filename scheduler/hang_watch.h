// Who has fallen silent and what hangs, from heartbeats and reported steps: the only rules of a run that count seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cluster/messages.h"
#include "scheduler/roster.h"

namespace convoy::scheduler {

struct Hang {
  Worker* culprit = nullptr;  // nullptr: everybody waits for another
  std::string reason;         // one line
};

class HangWatch {
 public:
  // In seconds: silence that is suspicious, and the longest time without progress.
  HangWatch(double suspect_s, double hang_s, Time now);

  void heartbeat(Worker& worker, const cluster::Heartbeat& heartbeat, Time now);
  void step_done(const cluster::StepReport& report, Time now);
  // What was before counts no more: a new epoch begins.
  void begin(std::span<Worker* const> workers, Time now);
  // Several times a second. A scheduler that did not run for a while cannot blame others for their silence.
  void on_tick(std::span<Worker* const> workers, Time now);

  // Whether the workers complete steps together: whoever the scheduler alone does not hear then is not lost.
  bool steps_go_on(Time now) const;
  // Of `members`, whom nothing was heard of for too long while no step is done; each once until it is heard again.
  std::vector<Worker*> silent(std::span<Worker* const> members, Time now) const;
  std::optional<Hang> hang(std::span<Worker* const> members, Time now) const;
  // Nothing has been heard of it for so long that something may be wrong.
  bool is_silent(const Worker& worker, Time now) const;
  // How long nothing has been heard of it, where that is longer than a hang may be.
  bool is_mute(const Worker& worker, Time now) const;

  // Seconds: the limit grows with the steps.
  double limit_s() const;
  // What a step may take: 99 of a hundred of the last ones took no longer.
  double long_step_s() const;

 private:
  const double suspect_s_;
  const double hang_s_;
  Time last_tick_;
  Time last_step_;               // when the workers last completed a step together
  std::int64_t furthest_ = 0;    // that any of them is at,
  Time furthest_since_;          // since when,
  double last_interval_s_ = 0;   // and how long they took to come there: reports may be what is not heard
  Ballot last_ballot_;           // of that step
  std::vector<double> steps_s_;  // what the last steps took, in a ring
  std::size_t next_ = 0;         // its oldest
  mutable double long_step_s_ = 0.0;
  mutable bool is_stale_ = false;
};

double seconds(Time::duration duration);
Time after(Time now, double wait_s);

}  // namespace convoy::scheduler
