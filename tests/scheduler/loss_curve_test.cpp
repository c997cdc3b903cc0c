#include "scheduler/loss_curve.h"

#include <gtest/gtest.h>

namespace convoy::scheduler {
namespace {

LossCurve curve_of(std::int64_t steps) {
  LossCurve curve;
  for (std::int64_t step = 1; step <= steps; ++step) curve.add(step, 1.0 / static_cast<double>(step));
  return curve;
}

TEST(LossCurveTest, ShortOnesAreWhole) {
  EXPECT_TRUE(LossCurve().points().empty());
  const auto points = curve_of(999).points();
  ASSERT_EQ(points.size(), 999u);
  EXPECT_EQ(points.front(), (LossPoint{.step = 1, .loss = 1.0}));
  EXPECT_EQ(points.back().step, 999);
}

TEST(LossCurveTest, LongOnesAreBoundedAndEven) {
  for (const std::int64_t steps : {1000, 1001, 1998, 1999, 12345, 100000}) {
    const auto points = curve_of(steps).points();
    EXPECT_LE(points.size(), LossCurve::kMostPoints) << steps;
    EXPECT_GE(points.size(), LossCurve::kMostPoints / 2 - 1) << steps;
    EXPECT_EQ(points.front().step, 1) << steps;
    EXPECT_EQ(points.back().step, steps);
    const std::int64_t stride = points[1].step - points[0].step;
    for (std::size_t i = 1; i + 1 < points.size(); ++i)
      ASSERT_EQ(points[i].step - points[i - 1].step, stride) << steps << " at " << i;
  }
}

// Whoever reads the records anew may skip the steps that a curve does not want.
TEST(LossCurveTest, SkippingWhatIsNotWantedChangesNothing) {
  LossCurve some;
  for (std::int64_t step = 1; step <= 5000; ++step) {
    if (some.wants(step) || step == 5000) some.add(step, 1.0 / static_cast<double>(step));
  }
  EXPECT_EQ(some.points(), curve_of(5000).points());
}

}  // namespace
}  // namespace convoy::scheduler
