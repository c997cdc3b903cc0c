#include "scheduler/speed.h"

#include <gtest/gtest.h>

namespace convoy::scheduler {
namespace {

using namespace std::chrono_literals;

cluster::StepReport report(std::int64_t step, std::int64_t tokens, double step_ms = 500.0) {
  cluster::StepReport out;
  out.step = step;
  out.loss = 2.5;
  out.samples = 16;
  out.tokens = tokens;
  out.step_ms = step_ms;
  out.world = 2;
  return out;
}

TEST(SpeedTest, IsUnknownBeforeTwoSteps) {
  Speed speed;
  EXPECT_EQ(speed.progress(10).rate, 0.0);
  speed.add(report(1, 100), Time{});
  const auto progress = speed.progress(10);
  EXPECT_EQ(progress.step, 1);
  EXPECT_EQ(progress.steps, 10);
  EXPECT_EQ(progress.workers, 2);
  EXPECT_EQ(progress.loss, 2.5);
  EXPECT_EQ(progress.rate, 0.0);
  EXPECT_EQ(progress.seconds_left, 0.0);
}

TEST(SpeedTest, CountsTokensOrSamples) {
  Speed text;
  Speed images;
  for (int step = 1; step <= 3; ++step) {
    text.add(report(step, 100), Time{} + step * 500ms);
    images.add(report(step, -1), Time{} + step * 500ms);
  }
  EXPECT_DOUBLE_EQ(text.progress(10).rate, 200.0);
  EXPECT_EQ(text.progress(10).rate_unit, "tokens/s");
  EXPECT_DOUBLE_EQ(text.progress(10).seconds_left, 3.5);
  EXPECT_DOUBLE_EQ(images.progress(10).rate, 32.0);
  EXPECT_EQ(images.progress(10).rate_unit, "samples/s");
}

TEST(SpeedTest, LeavesEvaluationsOutOfTheRateButNotOutOfTheTime) {
  Speed speed;
  speed.add(report(1, 100), Time{});
  speed.add(report(2, 100), Time{} + 2s);  // half a second of it in the step
  EXPECT_DOUBLE_EQ(speed.progress(10).rate, 200.0);
  EXPECT_DOUBLE_EQ(speed.progress(10).seconds_left, 16.0);
}

TEST(SpeedTest, ForgetsWhatIsLongPast) {
  Speed speed;
  Time now{};
  for (int step = 1; step <= 10; ++step) speed.add(report(step, 100, 10'000.0), now += 10s);
  EXPECT_DOUBLE_EQ(speed.progress(20).rate, 10.0);
  for (int step = 11; step <= 20; ++step) speed.add(report(step, 100, 1'000.0), now += 1s);
  EXPECT_DOUBLE_EQ(speed.progress(20).rate, 100.0);
}

}  // namespace
}  // namespace convoy::scheduler
