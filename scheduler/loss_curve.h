// The loss of a whole run in a bounded number of points.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "scheduler/run_view.h"

namespace convoy::scheduler {

// Keeps the steps 1, 1 + k, 1 + 2k, …; k doubles whenever there are too many. So which points there are follows from
// the steps alone, and no others appear when a curve is read anew. Steps come in ascending order.
class LossCurve {
 public:
  static constexpr std::size_t kMostPoints = 1000;

  void add(std::int64_t step, double loss);
  // Whether a step that is not the last one would be kept.
  bool wants(std::int64_t step) const { return (step - 1) % stride_ == 0; }
  std::vector<LossPoint> points() const;  // the last step is always among them

 private:
  std::int64_t stride_ = 1;
  std::vector<LossPoint> points_;  // kMostPoints - 1 at most
  std::optional<LossPoint> last_;
};

}  // namespace convoy::scheduler
