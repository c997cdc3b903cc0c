#include "launcher/restarts.h"

#include <gtest/gtest.h>

namespace convoy::launcher {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Restarts::Time kStart{};

TEST(RestartsTest, TheFirstIsAtOnceAndWhoDiesYoungWaitsEverLonger) {
  Restarts restarts({.most = 100});
  auto now = kStart + seconds(3);
  std::optional<milliseconds> wait = restarts.after_death(kStart, now);
  EXPECT_EQ(wait, milliseconds(0)) << "also soon after the start of the run";
  for (const int expected_ms : {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000}) {
    const auto started = now + *wait;
    now = started + milliseconds(9999);
    wait = restarts.after_death(started, now);
    EXPECT_EQ(wait, milliseconds(expected_ms));
  }
  const auto started = now + *wait;
  EXPECT_EQ(restarts.after_death(started, started + seconds(10)), milliseconds(0)) << "it lived long enough";
  EXPECT_EQ(restarts.after_death(started, started + seconds(1)), milliseconds(500));
}

TEST(RestartsTest, ThereAreSoManyInAWindow) {
  Restarts restarts({.most = 2});
  EXPECT_TRUE(restarts.after_death(kStart, kStart + seconds(100)));
  EXPECT_TRUE(restarts.after_death(kStart, kStart + seconds(200)));
  EXPECT_FALSE(restarts.after_death(kStart, kStart + seconds(300)));
  EXPECT_FALSE(restarts.after_death(kStart, kStart + hours(1) + seconds(99)));
  EXPECT_TRUE(restarts.after_death(kStart, kStart + hours(1) + seconds(100)));
  EXPECT_FALSE(restarts.after_death(kStart, kStart + hours(1) + seconds(101)));
}

TEST(RestartsTest, NoneMeansNone) {
  Restarts restarts({.most = 0});
  EXPECT_FALSE(restarts.after_death(kStart, kStart + hours(5)));
}

}  // namespace
}  // namespace convoy::launcher
