#include "core/base/log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/base/uuid.h"

namespace convoy {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ / "worker.log"; }
  std::vector<std::string> lines() const {
    std::ifstream file(path());
    std::vector<std::string> result;
    for (std::string line; std::getline(file, line);) result.push_back(line);
    return result;
  }

  std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / ("log-" + random_hex(8));
};

TEST_F(LogTest, LinesCarryTimeLevelRankBallotAndStep) {
  Logger log;
  log.mute_terminal();
  log.add_file(path());
  log.set_rank(1);
  log.set_ballot("1.2");
  log.set_step(42);
  log.warning("lost {} of {}", 1, 4);
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_TRUE(std::regex_match(
      lines()[0],
      std::regex(R"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} warning rank=1 ballot=1\.2 step=42 lost 1 of 4)")))
      << lines()[0];
}

TEST_F(LogTest, PartsThatAreNotKnownYetAreLeftOut) {
  Logger log;
  log.mute_terminal();
  log.add_file(path());
  log.info("starting");
  log.set_step(0);
  log.error("failed");
  ASSERT_EQ(lines().size(), 2U);
  EXPECT_TRUE(lines()[0].ends_with(" info starting")) << lines()[0];
  EXPECT_TRUE(lines()[1].ends_with(" error step=0 failed")) << lines()[1];
}

TEST_F(LogTest, BracesInAMessageAreText) {
  Logger log;
  log.mute_terminal();
  log.add_file(path());
  log.write(LogLevel::kInfo, "{} %v {0}");
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_TRUE(lines()[0].ends_with(" info {} %v {0}")) << lines()[0];
}

TEST_F(LogTest, WritesToStandardErrorUntilMuted) {
  testing::internal::CaptureStderr();
  Logger log;
  log.info("heard");
  log.mute_terminal();
  log.info("unheard");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("info heard\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("unheard"), std::string::npos) << text;
}

TEST_F(LogTest, RedirectedLinesReachTheFunctionAndNotStandardError) {
  testing::internal::CaptureStderr();
  std::vector<std::string> seen;
  {
    Logger log;
    log.redirect_terminal([&](std::string_view line) { seen.emplace_back(line); });
    log.info("one");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_TRUE(seen[0].ends_with(" info one")) << seen[0];
}

TEST_F(LogTest, LinesFromSeveralThreadsStayWhole) {
  Logger log;
  log.mute_terminal();
  log.add_file(path());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) log.info("{}", std::string(100, 'x'));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::string> written = lines();
  ASSERT_EQ(written.size(), 400U);
  for (const std::string& line : written) EXPECT_TRUE(line.ends_with(" info " + std::string(100, 'x'))) << line;
}

TEST_F(LogTest, FileThatCannotBeOpenedIsAnErrorThatNamesIt) {
  Logger log;
  const std::string inside_a_file = folder_ / "file" / "x.log";
  std::ofstream(folder_ / "file") << "not a folder";
  try {
    log.add_file(inside_a_file);
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find(inside_a_file), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace convoy
