#include "launcher/progress.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <string>

#include "launcher/pipe.h"

namespace convoy::launcher {
namespace {

using std::chrono::seconds;
using Time = std::chrono::steady_clock::time_point;

cluster::Progress at(std::int64_t step) {
  return {.step = step,
          .steps = 600,
          .loss = 2.31274,
          .rate = 41203.4,
          .rate_unit = "tokens/s",
          .workers = 2,
          .seconds_left = 35.2};
}

TEST(ProgressTest, TextSaysStepLossSpeedWorkersAndTimeLeft) {
  EXPECT_EQ(progress_text(at(120)), "step 120/600  loss 2.3127  41,203 tokens/s  2 workers  0:35 left");
}

TEST(ProgressTest, WhatIsNotKnownIsLeftOut) {
  cluster::Progress progress = at(0);
  progress.workers = 1;
  EXPECT_EQ(progress_text(progress), "step 0/600  1 worker");
  progress.workers = 0;
  EXPECT_EQ(progress_text(progress), "step 0/600");
  progress = at(1);
  progress.rate = 0.0;
  progress.seconds_left = 0.0;
  EXPECT_EQ(progress_text(progress), "step 1/600  loss 2.3127  2 workers");
  EXPECT_EQ(progress_text(at(600)), "step 600/600  loss 2.3127  41,203 tokens/s  2 workers");
}

TEST(ProgressTest, ALossThatIsNoNumberHasNoSign) {
  cluster::Progress progress = at(600);
  progress.loss = -std::nan("");
  EXPECT_TRUE(progress_text(progress).starts_with("step 600/600  loss nan  ")) << progress_text(progress);
  progress.loss = -std::numeric_limits<double>::infinity();
  EXPECT_TRUE(progress_text(progress).starts_with("step 600/600  loss -inf  ")) << progress_text(progress);
}

TEST(ProgressTest, NumbersReadWell) {
  cluster::Progress progress = at(120);
  progress.rate = 1234567.0;
  progress.seconds_left = 2 * 3600 + 3 * 60 + 4;
  EXPECT_EQ(progress_text(progress), "step 120/600  loss 2.3127  1,234,567 tokens/s  2 workers  2:03:04 left");
  progress.rate = 7.25;
  EXPECT_NE(progress_text(progress).find("7.2 tokens/s"), std::string::npos);
  progress.rate = 999.0;
  EXPECT_NE(progress_text(progress).find("999 tokens/s"), std::string::npos);
}

TEST(ProgressTest, CutsByColumnsAndNeverInsideACharacter) {
  EXPECT_EQ(cut_to_width("abcdef", 3), "abc");
  EXPECT_EQ(cut_to_width("abc", 3), "abc");
  EXPECT_EQ(cut_to_width("äöü", 2), "äö");
  EXPECT_EQ(cut_to_width("abc", 0), "");
}

std::string lines_of(const Pipe& pipe) {
  set_nonblocking(pipe.read_end.get());
  char buffer[65536];
  const ssize_t got = read(pipe.read_end.get(), buffer, sizeof buffer);
  return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "";
}

TEST(ProgressTest, PlainLinesAreTheFirstTheLastAndOneATenSeconds) {
  const Pipe out = make_pipe();
  Output output(out.write_end.get(), STDERR_FILENO);
  ProgressDisplay display(output);
  const Time start{};
  display.update(at(0), start);
  EXPECT_EQ(lines_of(out), "");
  display.update(at(1), start + seconds(1));
  EXPECT_EQ(lines_of(out), progress_text(at(1)) + "\n");
  display.update(at(2), start + seconds(10));
  EXPECT_EQ(lines_of(out), "");
  display.update(at(3), start + seconds(11));
  EXPECT_EQ(lines_of(out), progress_text(at(3)) + "\n");
  display.update(at(600), start + seconds(12));
  display.update(at(600), start + seconds(30));
  EXPECT_EQ(lines_of(out), progress_text(at(600)) + "\n");
  display.finish();
  EXPECT_EQ(lines_of(out), "");
}

TEST(ProgressTest, StepOnWhichARunStopsIsShown) {
  const Pipe out = make_pipe();
  Output output(out.write_end.get(), STDERR_FILENO);
  ProgressDisplay display(output);
  display.update(at(1), Time{});
  display.update(at(7), Time{} + seconds(1));
  display.finish();
  EXPECT_EQ(lines_of(out), progress_text(at(1)) + "\n" + progress_text(at(7)) + "\n");
}

}  // namespace
}  // namespace convoy::launcher
