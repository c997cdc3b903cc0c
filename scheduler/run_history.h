// What happened in a run so far, as far as a RunView shows it: fed with steps and events as they go on record, or read
// back from the records. One thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "cluster/messages.h"
#include "core/base/uuid.h"
#include "scheduler/loss_curve.h"
#include "scheduler/run_view.h"

namespace convoy::scheduler {

class RunHistory {
 public:
  static constexpr std::size_t kEvents = 200;
  static constexpr std::size_t kSteps = 100;  // of which times and rates are taken

  RunHistory() = default;
  // What metrics.jsonl and events.jsonl of a run directory hold; lines that are not whole count as absent, and so does
  // a file that is.
  explicit RunHistory(const std::string& run_directory);

  // A step that went on record, in ascending order; `reporter`: the worker that measured it.
  void add(const cluster::StepReport& report, const Uuid& reporter);
  void add(const Event& event, double time_s);

  // Fills in what follows from the past: step, loss, ballot, rates, spread, curve, events, checkpoint, counts, start.
  void describe(RunView& view) const;
  // Of the workers that are in `view`: when they joined, and how long their steps take.
  void describe_workers(RunView& view) const;
  const std::deque<TimedEvent>& events() const { return events_; }
  std::int32_t world() const { return steps_.empty() ? 0 : steps_.back().report.world; }  // of the last step

 private:
  struct Step {
    cluster::StepReport report;
    Uuid reporter;
  };
  void read_metrics(const std::string& path);
  void read_events(const std::string& path);
  void keep(const cluster::StepReport& report, const Uuid& reporter);
  std::optional<StepSpread> spread(const std::optional<Uuid>& reporter) const;
  void describe_rate(RunView& view) const;

  LossCurve curve_;
  std::deque<Step> steps_;
  std::deque<TimedEvent> events_;
  std::map<Uuid, double> joined_s_;
  std::set<Uuid> lost_workers_;
  std::optional<CheckpointView> checkpoint_;
  double started_s_ = 0.0;
  std::int64_t restarts_ = 0;
  std::int64_t joined_ = 0;
  std::int64_t lost_ = 0;
  std::int64_t steps_done_ = 0;  // since this was made, as the time they took
  double steps_done_s_ = 0.0;
};

}  // namespace convoy::scheduler
