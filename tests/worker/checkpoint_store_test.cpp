#include "worker/checkpoint_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "tests/worker/small_run.h"
#include "worker/checkpoint.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;

class CheckpointStoreTest : public testing::Test {
 protected:
  void write(std::initializer_list<std::int64_t> steps) {
    for (const std::int64_t step : steps)
      write_checkpoint(run_.folder(), {.step = step, .ballot = {1, 1}}, run_.recipe, *replica_);
  }
  void damage(std::int64_t step) {
    fs::resize_file(checkpoint_path(run_.folder(), step) + "/parameters.safetensors", 10);
  }
  std::string open(const fs::path& source) {
    warnings_.clear();
    return open_checkpoint(source, CheckpointPart::kParameters,
                           [this](const std::string& line) { warnings_.push_back(line); });
  }

  SmallRun run_{"mnist"};
  std::unique_ptr<Replica> replica_ = run_.replica();
  std::vector<std::string> warnings_;
};

TEST_F(CheckpointStoreTest, TheNewestIsFoundAndUnfinishedOnesAreNot) {
  write({9, 10, 2});
  fs::create_directories(unfinished_path(run_.folder(), 11));
  EXPECT_EQ(checkpoint_steps(run_.folder()), (std::vector<std::int64_t>{2, 9, 10}));
  EXPECT_EQ(find_whole_checkpoint(run_.folder(), CheckpointPart::kEverything).step, 10);
  EXPECT_EQ(open(run_.folder()), checkpoint_path(run_.folder(), 10));
  EXPECT_EQ(open(run_.folder() / "checkpoints/step-9"), checkpoint_path(run_.folder(), 9));
  EXPECT_EQ(open(run_.folder() / "checkpoints/step-9/"), checkpoint_path(run_.folder(), 9));
}

TEST_F(CheckpointStoreTest, DamagedOnesArePassedOverWithAWarningEach) {
  write({1, 2, 3});
  damage(2);
  damage(3);
  EXPECT_EQ(open(run_.folder()), checkpoint_path(run_.folder(), 1));
  ASSERT_EQ(warnings_.size(), 2U);
  EXPECT_NE(warnings_[0].find("step-3/parameters.safetensors: holds 10 bytes"), std::string::npos) << warnings_[0];
  EXPECT_THROW(open(run_.folder() / "checkpoints/step-3"), Error) << "it was asked for by name";
  damage(1);
  try {
    open(run_.folder());
    ADD_FAILURE() << "none is whole";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDataLoss);
  }
}

TEST_F(CheckpointStoreTest, ACheckpointUnderAnotherStepsNameIsDamaged) {
  write({1, 2});
  fs::rename(checkpoint_path(run_.folder(), 2), checkpoint_path(run_.folder(), 3));
  EXPECT_EQ(find_whole_checkpoint(run_.folder(), CheckpointPart::kEverything).step, 1);
}

TEST_F(CheckpointStoreTest, AFolderWithoutCheckpointsIsRefused) {
  try {
    open(run_.folder());
    ADD_FAILURE() << "found one";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_NE(std::string(error.what()).find(run_.folder().string()), std::string::npos);
  }
}

TEST_F(CheckpointStoreTest, TheNewestAreKept) {
  write({10, 20, 30, 40});
  keep_newest(run_.folder(), 3);
  EXPECT_EQ(checkpoint_steps(run_.folder()), (std::vector<std::int64_t>{20, 30, 40}));
  keep_newest(run_.folder(), 3);
  EXPECT_EQ(checkpoint_steps(run_.folder()).size(), 3U);
}

TEST_F(CheckpointStoreTest, WhatIsSetAsideIsNoCheckpointAnyMore) {
  write({10, 20});
  set_aside(run_.folder(), 20);
  EXPECT_EQ(checkpoint_steps(run_.folder()), std::vector<std::int64_t>{10});
  EXPECT_TRUE(fs::exists(run_.folder() / "checkpoints/damaged-step-20/manifest.json"));
  write({20});
  set_aside(run_.folder(), 20);
  EXPECT_EQ(checkpoint_steps(run_.folder()), std::vector<std::int64_t>{10}) << "a second one takes its place";
}

TEST_F(CheckpointStoreTest, ANewOneTakesThePlaceOfAnOldOneOfTheSameStep) {
  write({10});
  damage(10);
  write({10});
  EXPECT_EQ(find_whole_checkpoint(run_.folder(), CheckpointPart::kEverything).step, 10);
}

TEST_F(CheckpointStoreTest, LeftoversOfKilledProcessesGo) {
  write({10});
  const std::string unfinished = unfinished_path(run_.folder(), 20);
  fs::create_directories(unfinished);
  std::ofstream(run_.folder() / "metrics.jsonl.tmp-0123456789abcdef") << "half";
  std::ofstream(run_.folder() / "notes.txt") << "mine";
  remove_leftovers(run_.folder());
  EXPECT_FALSE(fs::exists(unfinished));
  EXPECT_FALSE(fs::exists(run_.folder() / "metrics.jsonl.tmp-0123456789abcdef"));
  EXPECT_TRUE(fs::exists(run_.folder() / "notes.txt"));
  EXPECT_EQ(checkpoint_steps(run_.folder()).size(), 1U);
}

}  // namespace
}  // namespace convoy::worker
