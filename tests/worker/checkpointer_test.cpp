#include "worker/checkpointer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/base/error.h"
#include "tests/worker/small_run.h"
#include "worker/checkpoint_store.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A run that is trained by hand; what its scheduler has recorded is said by `recorded`.
class CheckpointerTest : public testing::Test {
 protected:
  CheckpointerTest() {
    run_.recipe.checkpoint.keep = 3;
    std::ofstream(run_.folder() / "metrics.jsonl") << "{}\n";
    make();
  }

  void make(double patience = 0.0) {
    checkpointer_.reset();
    checkpointer_ = std::make_unique<Checkpointer>(
        run_.folder(), run_.recipe, *replica_,
        CheckpointerOptions{.recorded =
                                [this](std::int64_t step) {
                                  if (lost_) fail(ErrorCode::kPeerLost, "lost the scheduler");
                                  return step <= recorded_;
                                },
                            .report =
                                [this](const cluster::EventReport& event) {
                                  const std::lock_guard lock(mutex_);
                                  events_.push_back(event.kind + " " + std::to_string(event.step));
                                  details_.push_back(event.detail);
                                },
                            .patience = std::chrono::duration<double>(patience),
                            .more_patience = 0.0});
  }
  static CheckpointFacts facts(std::int64_t step) { return {.step = step, .ballot = {1, 1}, .world = 2, .loss = 0.5}; }
  // Every element becomes another one.
  void update() {
    checkpointer_->before_update();
    value_ += 1.0F;
    for (const StateTensor& part : replica_->state())
      std::fill_n(part.tensor.data<float>(), part.tensor.elements(), value_);
  }
  std::vector<std::string> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  std::vector<std::int64_t> standing() const { return checkpoint_steps(run_.folder()); }
  std::size_t entries() const {
    const fs::path folder = run_.folder() / "checkpoints";
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }

  using Strings = std::vector<std::string>;
  using Steps = std::vector<std::int64_t>;

  SmallRun run_{"mnist"};
  std::unique_ptr<Replica> replica_ = run_.replica();
  std::atomic<std::int64_t> recorded_ = 1000;
  std::atomic<bool> lost_ = false;
  mutable std::mutex mutex_;
  Strings events_, details_;
  float value_ = 0.0F;
  std::unique_ptr<Checkpointer> checkpointer_;  // last: its thread uses what stands above
};

TEST_F(CheckpointerTest, UpdatesMeanwhileChangeNoBit) {
  const SmallRun other("mnist");
  for (std::int64_t step = 1; step <= 5; ++step) {
    update();
    const fs::path expected = write_checkpoint(other.folder(), facts(step), run_.recipe, *replica_);
    checkpointer_->start(facts(step));
    for (int i = 0; i < 3; ++i) update();
    const fs::path written = checkpointer_->finish();
    for (const char* file : {"parameters.safetensors", "optimizer.safetensors", "recipe.toml", "manifest.json"})
      EXPECT_TRUE(read_all(written / file) == read_all(expected / file)) << file << " after step " << step;
    EXPECT_EQ(find_damage(run_.folder(), step), std::nullopt);
  }
  EXPECT_EQ(standing(), (Steps{3, 4, 5})) << "three are kept";
  EXPECT_EQ(events(), (Strings{"checkpoint 1", "checkpoint 2", "checkpoint 3", "checkpoint 4", "checkpoint 5"}));
  EXPECT_EQ(details_.back(), checkpoint_path(run_.folder(), 5));
}

TEST_F(CheckpointerTest, NothingStandsBeforeTheRecordsDo) {
  recorded_ = 9;
  checkpointer_->start(facts(10));
  update();
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(standing(), Steps{});
  EXPECT_EQ(events(), Strings{});
  recorded_ = 10;
  EXPECT_EQ(checkpointer_->finish(), checkpoint_path(run_.folder(), 10));
  EXPECT_EQ(standing(), Steps{10});
}

TEST_F(CheckpointerTest, OneThatIsDueWhileAnotherIsWrittenIsSkipped) {
  recorded_ = 9;
  checkpointer_->start(facts(10));
  update();
  checkpointer_->start(facts(20));
  EXPECT_EQ(events(), Strings{"checkpoint_skipped 20"});
  EXPECT_EQ(details_[0], "the one of step 10 is still being written");
  recorded_ = 100;
  EXPECT_EQ(checkpointer_->finish(), checkpoint_path(run_.folder(), 10));
  checkpointer_->start(facts(30));
  checkpointer_->finish();
  EXPECT_EQ(standing(), (Steps{10, 30}));
}

TEST_F(CheckpointerTest, TheLastOneIsNotSkipped) {
  checkpointer_->start(facts(10));
  update();
  const std::string hash = replica_->state_hash(20);
  EXPECT_EQ(checkpointer_->write(facts(20)), checkpoint_path(run_.folder(), 20));
  EXPECT_EQ(standing(), (Steps{10, 20}));
  EXPECT_EQ(read_manifest(checkpoint_path(run_.folder(), 20)).state_hash, hash);
  EXPECT_EQ(events(), (Strings{"checkpoint 10", "checkpoint 20"}));
}

TEST_F(CheckpointerTest, OneOfTheSameStepIsNotWrittenTwice) {
  checkpointer_->start(facts(10));
  checkpointer_->start(facts(10));
  EXPECT_EQ(checkpointer_->write(facts(10)), checkpoint_path(run_.folder(), 10));
  EXPECT_EQ(checkpointer_->write(facts(10)), checkpoint_path(run_.folder(), 10));
  EXPECT_EQ(events(), Strings{"checkpoint 10"});
  recorded_ = 19;
  checkpointer_->start(facts(20));
  checkpointer_->abandon();
  recorded_ = 20;
  EXPECT_EQ(checkpointer_->write(facts(20)), checkpoint_path(run_.folder(), 20)) << "what was abandoned is";
}

TEST_F(CheckpointerTest, QuickStepsWaitAWhileForTheOneUnderWay) {
  make(/*patience=*/60.0);
  for (std::int64_t step = 1; step <= 5; ++step) {
    update();
    checkpointer_->start(facts(step));
  }
  checkpointer_->finish();
  EXPECT_EQ(events().size(), 5U);
  EXPECT_EQ(events().back(), "checkpoint 5");
}

TEST_F(CheckpointerTest, AnAbandonedOneLeavesNothing) {
  checkpointer_->write(facts(5));
  recorded_ = 9;
  checkpointer_->start(facts(10));
  update();
  checkpointer_->abandon();
  EXPECT_EQ(checkpointer_->finish(), "");
  recorded_ = 100;
  EXPECT_EQ(standing(), Steps{5});
  EXPECT_EQ(entries(), 1U);
  EXPECT_EQ(events(), Strings{"checkpoint 5"});
  EXPECT_EQ(checkpointer_->write(facts(20)), checkpoint_path(run_.folder(), 20)) << "and there may be others";
}

TEST_F(CheckpointerTest, WhoGoesLeavesNothingHalf) {
  recorded_ = 9;
  checkpointer_->start(facts(10));
  checkpointer_.reset();
  EXPECT_TRUE(!fs::exists(run_.folder() / "checkpoints") || entries() == 0U);
}

TEST_F(CheckpointerTest, WhatKilledLeadersLeftHalfWrittenGoes) {
  checkpointer_->write(facts(10));
  const std::string left = unfinished_path(run_.folder(), 20);
  fs::create_directories(left);
  make();
  checkpointer_->write(facts(30));
  EXPECT_FALSE(fs::exists(left));
  EXPECT_EQ(standing(), (Steps{10, 30}));
}

TEST_F(CheckpointerTest, WithoutAScheduler) {
  recorded_ = 9;
  lost_ = true;
  checkpointer_->start(facts(10));
  EXPECT_THROW(checkpointer_->finish(), Error);
  EXPECT_EQ(events(), Strings{}) << "nobody hears it";
  EXPECT_EQ(entries(), 0U);
}

// A limit on the size of files stands for a disk that is full.
TEST_F(CheckpointerTest, AFullDiskIsAnEventAndTrainingGoesOn) {
  checkpointer_->write(facts(10));
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 60'000, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  checkpointer_->start(facts(20));
  for (int i = 0; i < 3; ++i) update();
  EXPECT_THROW(checkpointer_->finish(), Error);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(events(), (Strings{"checkpoint 10", "checkpoint_failed 20"}));
  EXPECT_NE(details_[1].find("optimizer.safetensors: cannot write: File too large"), std::string::npos) << details_[1];
  EXPECT_EQ(standing(), Steps{10});
  EXPECT_EQ(entries(), 1U) << "it takes no space";
  update();
  checkpointer_->write(facts(30));
  EXPECT_EQ(standing(), (Steps{10, 30}));
  EXPECT_EQ(find_damage(run_.folder(), 30), std::nullopt);
}

TEST_F(CheckpointerTest, AFolderThatCannotBeMadeIsAnEvent) {
  std::ofstream(run_.folder() / "checkpoints") << "a file where the folder should be";
  checkpointer_->start(facts(10));
  EXPECT_THROW(checkpointer_->finish(), Error);
  EXPECT_EQ(events(), Strings{"checkpoint_failed 10"});
}

}  // namespace
}  // namespace convoy::worker
