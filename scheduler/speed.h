// How fast the run goes: the rate of the last seconds, for the progress line.
#pragma once

#include <cstdint>
#include <deque>

#include "cluster/messages.h"
#include "scheduler/membership.h"

namespace convoy::scheduler {

class Speed {
 public:
  // A step that completed at `now`. Steps come in order.
  void add(const cluster::StepReport& report, Time now);
  // Rate (of the time in steps, as in final.json), its unit and the seconds left of `steps` (by the clock, evaluations
  // included); the rest is the last report's. Zero while fewer than two steps are
  // known.
  cluster::Progress progress(std::int64_t steps) const;

 private:
  struct Point {
    Time time;
    std::int64_t step = 0;
    std::int64_t units = 0;  // tokens or samples since the start
    double step_s = 0.0;     // time in steps since the start
  };
  std::deque<Point> points_;  // of the last seconds, at least two once there were two
  cluster::StepReport last_;
};

}  // namespace convoy::scheduler
