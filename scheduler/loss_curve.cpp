#include "scheduler/loss_curve.h"

namespace convoy::scheduler {

void LossCurve::add(std::int64_t step, double loss) {
  last_ = {.step = step, .loss = loss};
  if (!wants(step)) return;
  points_.push_back(*last_);
  while (points_.size() >= kMostPoints) {
    stride_ *= 2;
    std::erase_if(points_, [this](const LossPoint& point) { return !wants(point.step); });
  }
}

std::vector<LossPoint> LossCurve::points() const {
  std::vector<LossPoint> points = points_;
  if (last_ && (points.empty() || points.back().step != last_->step)) points.push_back(*last_);
  return points;
}

}  // namespace convoy::scheduler
