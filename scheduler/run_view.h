// What there is to see of a run at one moment: what the status page, /metrics and `convoy status` show. A plain value;
// StatusPage (status_page.h) makes it of a run that goes on, read_recorded_run() (recorded_run.h) of what a run left.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/ballot.h"
#include "core/base/uuid.h"
#include "scheduler/records.h"

namespace convoy::scheduler {

enum class RunState : std::uint8_t {
  kGathering,  // waits for the workers it begins with
  kSealing,    // agrees on a new membership
  kRunning,
  kWaiting,    // for workers: there are too few
  kFinishing,  // was asked to stop, or all steps are done and the records are being written
  kFinished,   // complete
  kStopped,    // ended before it was complete
  kAway        // by its records the run goes on, but no scheduler answers
};
std::string_view state_name(RunState state);  // "gathering", "sealing", …

// How long steps take, of the last ones.
struct StepSpread {
  double median_ms = 0.0;
  double p99_ms = 0.0;
  std::int32_t steps = 0;  // that it is taken of; 100 at most
  bool operator==(const StepSpread&) const = default;
};

struct WorkerView {
  Uuid uuid;
  std::int32_t rank = -1;  // -1: none yet
  std::string host;
  std::int32_t pid = 0;
  std::string phase;  // cluster::phase_name; empty: not known
  std::int64_t step = 0;
  std::optional<StepSpread> step_time{};    // as it reported it itself
  std::optional<double> heartbeat_age_s{};  // since it was last heard of
  std::optional<double> joined_s{};         // seconds since the epoch
  bool operator==(const WorkerView&) const = default;
};

struct LossPoint {
  std::int64_t step = 0;
  double loss = 0.0;
  bool operator==(const LossPoint&) const = default;
};

struct TimedEvent {
  double time_s = 0.0;  // since the epoch
  Event event;
  bool operator==(const TimedEvent&) const = default;
};

struct CheckpointView {
  std::int64_t step = 0;
  double time_s = 0.0;  // since the epoch
  bool operator==(const CheckpointView&) const = default;
};

struct RunView {
  double time_s = 0.0;  // when this was so, in seconds since the epoch
  bool live = false;    // told by the run's scheduler, not read from records
  Uuid scheduler;       // which start of it; nil: not known
  std::string run_directory;
  std::string recipe;  // "gpt on text"
  RunState state = RunState::kGathering;
  std::string reason;  // of the state, one line; empty: none is known
  Ballot ballot;       // of the last epoch
  std::uint64_t term = 0;
  std::int64_t step = 0;   // the last one on record
  std::int64_t steps = 0;  // of the whole run; 0: not known
  double loss = std::numeric_limits<double>::quiet_NaN();
  double rate = 0.0;           // of the last seconds
  std::string rate_unit{};     // "tokens/s" | "samples/s"; empty: no step is known
  double samples_per_s = 0.0;  // of the last steps
  double seconds_left = 0.0;   // 0: not known
  double started_s = 0.0;      // seconds since the epoch; 0: not known
  std::optional<StepSpread> step_time{};
  std::vector<WorkerView> workers{};    // by rank
  std::vector<LossPoint> loss_curve{};  // LossCurve::kMostPoints at most
  std::vector<TimedEvent> events{};     // the last ones, the newest at the end
  std::optional<CheckpointView> checkpoint{};
  std::int64_t scheduler_restarts = 0;
  std::int64_t workers_joined = 0;
  std::int64_t workers_lost = 0;
  // Since the scheduler was started:
  std::int64_t steps_done = 0;
  double steps_done_s = 0.0;  // what they took
};

}  // namespace convoy::scheduler
