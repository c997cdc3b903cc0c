#include "scheduler/speed.h"

#include <chrono>

namespace convoy::scheduler {

namespace {

constexpr std::chrono::seconds kWindow{5};

}  // namespace

void Speed::add(const cluster::StepReport& report, Time now) {
  const std::int64_t units = report.tokens >= 0 ? report.tokens : report.samples;
  const Point before = points_.empty() ? Point{} : points_.back();
  points_.push_back({now, report.step, before.units + units, before.step_s + report.step_ms / 1e3});
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
  const Point& first = points_.front();
  const Point& last = points_.back();
  const double step_s = last.step_s - first.step_s;
  if (step_s > 0.0) progress.rate = static_cast<double>(last.units - first.units) / step_s;
  const double seconds = std::chrono::duration<double>(last.time - first.time).count();
  if (last.step > first.step)
    progress.seconds_left =
        static_cast<double>(steps - last.step) * seconds / static_cast<double>(last.step - first.step);
  return progress;
}

}  // namespace convoy::scheduler
