// Checkpointers of several workers that write one checkpoint together.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>

#include "core/base/error.h"
#include "tests/worker/small_run.h"
#include "worker/checkpoint_store.h"
#include "worker/checkpointer.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class SharedCheckpointTest : public testing::Test {
 protected:
  static constexpr std::int32_t kWorkers = 3;

  SharedCheckpointTest() {
    run_.recipe.model.hidden = {64};
    std::ofstream(run_.folder() / "metrics.jsonl") << "{}\n";
    for (std::int32_t rank = 0; rank < kWorkers; ++rank) {
      replicas_.push_back(run_.replica());
      checkpointers_.push_back(std::make_unique<Checkpointer>(
          run_.folder(), run_.recipe, *replicas_.back(),
          CheckpointerOptions{.recorded = [this](std::int64_t step) { return step <= recorded_; },
                              .report =
                                  [this, rank](const cluster::EventReport& event) {
                                    const std::lock_guard lock(mutex_);
                                    events_.push_back(std::to_string(rank) + " " + event.kind);
                                    details_.push_back(event.detail);
                                  },
                              .show_report = std::chrono::milliseconds(50)}));
    }
  }

  Checkpointer& leader() { return *checkpointers_[0]; }
  void begin(std::int64_t step, const std::string& tag, std::vector<std::int32_t> workers = {0, 1, 2}) {
    const CheckpointPlan plan{.writers = {0, 1, 2}, .tag = tag};
    for (const std::int32_t rank : workers)
      checkpointers_[static_cast<std::size_t>(rank)]->begin({.step = step, .ballot = {1, 1}}, plan, rank);
  }
  // Every element of every replica becomes another one.
  void update() {
    value_ += 1.0F;
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
      checkpointers_[i]->before_update();
      for (const StateTensor& part : replicas_[i]->state())
        std::fill_n(part.tensor.data<float>(), part.tensor.elements(), value_);
    }
  }
  Strings events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  std::ptrdiff_t entries() const {
    const fs::path folder = run_.folder() / "checkpoints";  // made by the first that is not given up before
    return fs::exists(folder) ? std::distance(fs::directory_iterator(folder), fs::directory_iterator()) : 0;
  }

  SmallRun run_{"mnist"};
  std::vector<std::unique_ptr<Replica>> replicas_;
  std::atomic<std::int64_t> recorded_ = 1000;
  mutable std::mutex mutex_;
  Strings events_, details_;
  float value_ = 0.0F;
  std::vector<std::unique_ptr<Checkpointer>> checkpointers_;  // last: their threads use what stands above
};

TEST_F(SharedCheckpointTest, UpdatesMeanwhileChangeNoBit) {
  const SmallRun alone("mnist");
  for (std::int64_t step = 1; step <= 5; ++step) {
    update();
    const fs::path expected =
        write_checkpoint(alone.folder(), {.step = step, .ballot = {1, 1}}, run_.recipe, *replicas_[0]);
    begin(step, "0000000" + std::to_string(step));
    for (int i = 0; i < 3; ++i) update();
    const fs::path written = leader().finish();
    for (const char* file : {"parameters.safetensors", "optimizer.safetensors", "recipe.toml", "manifest.json"})
      EXPECT_TRUE(read_all(written / file) == read_all(expected / file)) << file << " after step " << step;
    EXPECT_EQ(find_damage(run_.folder(), step), std::nullopt);
    for (const auto& checkpointer : checkpointers_) checkpointer->finish();
  }
  EXPECT_EQ(events(), Strings(5, "0 checkpoint"));
  EXPECT_EQ(entries(), run_.recipe.checkpoint.keep);
}

TEST_F(SharedCheckpointTest, AWriterThatGivesUpFailsIt) {
  begin(10, "0a0b0c0d", {1});
  checkpointers_[1]->abandon();
  begin(10, "0a0b0c0d", {0, 2});
  leader().others_are_done();
  EXPECT_THROW(leader().finish(), Error);
  EXPECT_EQ(events(), Strings{"0 checkpoint_failed"});
  EXPECT_EQ(entries(), 0);
}

TEST_F(SharedCheckpointTest, AWriterThatDoesNotSeeTheFilesIsNamed) {
  begin(10, "0a0b0c0d", {0, 2});
  checkpointers_[2]->finish();
  leader().others_are_done();
  EXPECT_THROW(leader().finish(), Error);
  EXPECT_EQ(events(), Strings{"0 checkpoint_failed"});
  EXPECT_EQ(details_[0], "worker 1 was to write a share of it and left no report of that in " + run_.folder().string());
  EXPECT_EQ(leader().take_silent(), std::vector<std::int32_t>{1});
  EXPECT_EQ(leader().take_silent(), std::vector<std::int32_t>{});
  EXPECT_EQ(entries(), 0);
}

TEST_F(SharedCheckpointTest, WithoutAWriterItIsAbandonedAndTheNextIsWritten) {
  begin(10, "0a0b0c0d", {0, 2});
  EXPECT_TRUE(leader().abandon_shared("a worker is gone"));
  EXPECT_FALSE(leader().abandon_shared("a worker is gone")) << "said once";
  EXPECT_EQ(leader().finish(), "");
  checkpointers_[2]->abandon();
  checkpointers_[2]->finish();
  EXPECT_EQ(events(), Strings{"0 checkpoint_abandoned"}) << "nothing of the share that nobody wanted";
  EXPECT_EQ(details_[0], "a worker is gone");
  EXPECT_EQ(entries(), 0);
  begin(10, "1a1b1c1d");
  EXPECT_EQ(leader().finish(), checkpoint_path(run_.folder(), 10));
  EXPECT_EQ(find_damage(run_.folder(), 10), std::nullopt);
}

TEST_F(SharedCheckpointTest, AShareThatNobodyWaitsForMakesWayForTheNext) {
  begin(10, "0a0b0c0d", {1, 2});  // its leader is gone: no files will appear
  begin(20, "1a1b1c1d");
  EXPECT_EQ(leader().finish(), checkpoint_path(run_.folder(), 20));
  EXPECT_EQ(find_damage(run_.folder(), 20), std::nullopt);
}

}  // namespace
}  // namespace convoy::worker
