#include "launcher/run_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "core/base/error.h"
#include "core/base/uuid.h"

namespace convoy::launcher {
namespace {

namespace fs = std::filesystem;

class RunDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    before_ = fs::current_path();
    fs::current_path(folder_);
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }
  // The message of the refusal of `given`.
  static std::string refusal(const std::string& given) {
    try {
      make_run_directory(given, "gpt.toml", 0);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      return error.what();
    }
    return "accepted";
  }

  fs::path folder_ = fs::path(testing::TempDir()) / ("runs-" + random_hex(8));
  fs::path before_;
};

TEST_F(RunDirectoryTest, GivenOneIsMadeWithItsParents) {
  EXPECT_EQ(make_run_directory("a/b", "gpt.toml", 0), "a/b");
  EXPECT_TRUE(fs::is_directory("a/b"));
}

TEST_F(RunDirectoryTest, EmptyOneIsTaken) {
  fs::create_directory("empty");
  EXPECT_EQ(make_run_directory("empty", "gpt.toml", 0), "empty");
}

TEST_F(RunDirectoryTest, OneThatHoldsAnythingIsRefusedByName) {
  fs::create_directory("used");
  std::ofstream("used/notes.txt") << "keep";
  EXPECT_EQ(refusal("used"), "run directory used is not empty: name another one with --run");
  EXPECT_TRUE(fs::exists("used/notes.txt"));
}

TEST_F(RunDirectoryTest, OneThatHoldsARunOrOnlyItsLockIsTaken) {
  fs::create_directories("stopped/journal");
  std::ofstream("stopped/journal/lock") << "pid 1 on here";
  EXPECT_EQ(refusal("stopped"), "accepted");
  std::ofstream("stopped/journal/term-1") << "more than a lock";
  EXPECT_EQ(refusal("stopped"), "run directory stopped is not empty: name another one with --run");
  std::ofstream("stopped/recipe.toml") << "what it trains";
  EXPECT_EQ(refusal("stopped"), "accepted");
}

TEST_F(RunDirectoryTest, WhatCannotBeAFolderIsRefusedByName) {
  std::ofstream("file") << "text";
  EXPECT_EQ(refusal("file"), "run directory file is not a directory");
  EXPECT_NE(refusal("file/below").find("file/below"), std::string::npos);
  EXPECT_NE(refusal("").find("--run"), std::string::npos);
}

TEST_F(RunDirectoryTest, DefaultIsNamedAfterRecipeAndTimeAndNeverShared) {
  const std::string first = make_run_directory(std::nullopt, "../recipes/gpt-tiny.toml", 1'750'000'000);
  EXPECT_TRUE(std::regex_match(first, std::regex(R"(runs/gpt-tiny-\d{8}-\d{6})"))) << first;
  EXPECT_EQ(make_run_directory(std::nullopt, "../recipes/gpt-tiny.toml", 1'750'000'000), first + "-2");
  EXPECT_TRUE(fs::is_directory(first + "-2"));
}

}  // namespace
}  // namespace convoy::launcher
