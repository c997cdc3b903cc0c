#include "core/graph/profile.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace convoy {
namespace {

using std::chrono::milliseconds;

// 1 Gflop/s with f32, 2 with bf16, 1 GB/s.
constexpr Roofline kRoofline{.f32_flops = 1e9, .bf16_flops = 2e9, .f64_flops = 5e8, .bytes = 1e9};

TEST(RooflineTest, LeastTimeIsTheLongerOfComputingAndMoving) {
  EXPECT_DOUBLE_EQ(least_seconds(kRoofline, {.flops = 3e9, .bytes = 1e9}, DType::kF32), 3.0);
  EXPECT_DOUBLE_EQ(least_seconds(kRoofline, {.flops = 3e9, .bytes = 1e9}, DType::kBF16), 1.5);
  EXPECT_DOUBLE_EQ(least_seconds(kRoofline, {.flops = 3e9, .bytes = 1e9}, DType::kF64), 6.0);
  EXPECT_DOUBLE_EQ(least_seconds(kRoofline, {.flops = 3e9, .bytes = 9e9}, DType::kF32), 9.0);
  EXPECT_DOUBLE_EQ(least_seconds({}, {.flops = 3e9, .bytes = 9e9}, DType::kF32), 0.0) << "nothing is known";
}

class ProfileTest : public testing::Test {
 protected:
  ProfileTest() {
    CallTimer& timer = profile.add_plan(
        "gradient", {{.name = "matmul(transpose_a=0): f32[2, 2]", .phase = "forward", .cost = {4e6, 1e3}},
                     {.name = "add(): f32[2, 2]", .phase = "backward", .cost = {1e3, 1e6}}});
    const CallTimer::Clock::time_point start{};
    for (int step = 5; step <= 6; ++step) {
      profile.begin_step(step);
      timer.ran(0, start, start + milliseconds(5));                     // at least 4 ms
      timer.ran(1, start + milliseconds(5), start + milliseconds(10));  // at least 1 ms
      timer.gave(1, start + milliseconds(10), start + milliseconds(13));
      profile.add_span("all-reduce", start + milliseconds(13), start + milliseconds(15));
      profile.end_step();
    }
  }
  ~ProfileTest() override { std::filesystem::remove(path); }
  const std::string path = testing::TempDir() + "profile_test_trace.json";
  Profile profile{kRoofline, path, 3};
};

TEST_F(ProfileTest, RanksCallsByWhatTheyLose) {
  const std::string text = profile.worst_calls(10);
  EXPECT_NE(text.find("2 steps, 10.00 ms a step in plans; at least 5.00 ms by the roofline"), std::string::npos)
      << text;
  EXPECT_NE(text.find("; 3.00 ms handing results over"), std::string::npos) << text;
  const std::size_t add = text.find("gradient backward add(): f32[2, 2]");
  const std::size_t matmul = text.find("gradient forward matmul(transpose_a=0): f32[2, 2]");
  ASSERT_NE(add, std::string::npos) << text;
  ASSERT_NE(matmul, std::string::npos) << text;
  EXPECT_LT(add, matmul) << "4 ms lost before 1 ms lost";
  EXPECT_NE(text.find("200 MB/s"), std::string::npos) << text;
  EXPECT_NE(text.find("800 Mflop/s"), std::string::npos) << text;
  EXPECT_EQ(profile.worst_calls(1).find("matmul"), std::string::npos);
}

TEST_F(ProfileTest, TraceHasEveryCallOfEveryStep) {
  EXPECT_FALSE(std::filesystem::exists(path)) << "it is there whole or not at all";
  profile.finish();
  const auto trace = nlohmann::json::parse(std::ifstream(path));
  const auto& events = trace.at("traceEvents");
  ASSERT_EQ(events.size(), 1U + 8U);
  const auto& matmul = events.at(1);
  EXPECT_EQ(matmul.at("ph"), "X");
  EXPECT_EQ(matmul.at("name"), "matmul");
  EXPECT_EQ(matmul.at("pid"), 3);
  EXPECT_DOUBLE_EQ(matmul.at("dur"), 5000.0);
  EXPECT_EQ(matmul.at("args").at("step"), 5);
  EXPECT_DOUBLE_EQ(matmul.at("args").at("flop/s"), 8e8);
  EXPECT_DOUBLE_EQ(matmul.at("args").at("of roofline"), 0.8);
  EXPECT_EQ(events.at(3).at("name"), "hand over");
  EXPECT_EQ(events.at(3).at("cat"), "gradient,communication");
  EXPECT_DOUBLE_EQ(events.at(3).at("dur"), 3000.0);
  EXPECT_EQ(events.at(4).at("name"), "all-reduce");
  EXPECT_DOUBLE_EQ(events.at(2).at("ts"), 5000.0);
  EXPECT_EQ(events.at(5).at("args").at("step"), 6);
}

TEST_F(ProfileTest, KeepsNoFileOfATraceThatDidNotEnd) {
  const std::string unfinished = testing::TempDir() + "unfinished_profile/trace.json";
  std::filesystem::create_directories(testing::TempDir() + "unfinished_profile");
  { const Profile other(kRoofline, unfinished, 0); }
  EXPECT_TRUE(std::filesystem::is_empty(testing::TempDir() + "unfinished_profile"));
  std::filesystem::remove(testing::TempDir() + "unfinished_profile");
}

TEST(EmptyProfileTest, HasNothingToShow) {
  const std::string path = testing::TempDir() + "empty_profile_test_trace.json";
  Profile profile(kRoofline, path, 0);
  EXPECT_NE(profile.worst_calls(10).find("0 steps"), std::string::npos);
  profile.finish();
  EXPECT_EQ(nlohmann::json::parse(std::ifstream(path)).at("traceEvents").size(), 1U);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace convoy
