#include "scheduler/speed.h"

#include <chrono>

namespace convoy::scheduler {

namespace {

constexpr std::chrono::seconds kWindow{5};

}  // namespace

void Speed::add(const cluster::StepReport& report, Time now) {
  const std::int64_t units = report.tokens >= 0 ? report.tokens : report.samples;
  points_.push_back({now, report.step, (points_.empty() ? 0 : points_.back().units) + units});
  while (points_.size() > 2 && now - points_[1].time >= kWindow) points_.pop_front();
  last_ = report;
}

cluster::Progress Speed::progress(std::int64_t steps) const {
  cluster::Progress progress{.step = last_.step,
                             .steps = steps,
                             .loss = last_.loss,
                             .rate = 0.0,
                             .rate_unit = last_.tokens >= 0 ? "tokens/s" : "samples/s",
                             .workers = last_.world,
                             .seconds_left = 0.0};
  if (points_.size() < 2) return progress;
  const double seconds = std::chrono::duration<double>(points_.back().time - points_.front().time).count();
  if (seconds <= 0.0) return progress;
  progress.rate = static_cast<double>(points_.back().units - points_.front().units) / seconds;
  const double steps_per_s = static_cast<double>(points_.back().step - points_.front().step) / seconds;
  if (steps_per_s > 0.0) progress.seconds_left = static_cast<double>(steps - last_.step) / steps_per_s;
  return progress;
}

}  // namespace convoy::scheduler
