#include "worker/share.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "core/base/error.h"
#include "tests/worker/small_run.h"
#include "worker/checkpoint.h"
#include "worker/checkpoint_store.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void flip_bit(const std::string& path, std::int64_t offset) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(offset);
  const char byte = static_cast<char>(file.get());
  file.seekp(offset);
  file.put(static_cast<char>(byte ^ 4));
}

// A checkpoint by hand of as many writers as there are, each with a replica of its own.
class ShareTest : public testing::Test {
 protected:
  ShareTest() {
    run_.recipe.model.hidden = {64};
    for (int i = 0; i < 3; ++i) {
      replicas_.push_back(run_.replica());
      layouts_.push_back(std::make_unique<StateLayout>(replicas_.back()->state()));
    }
  }

  UnfinishedCheckpoint begin(CheckpointPlan plan = {.writers = {0, 1, 2}, .tag = "0a0b0c0d"}) {
    return UnfinishedCheckpoint(run_.folder(), {.step = 7, .ballot = {1, 1}}, *layouts_[0], std::move(plan));
  }
  void write_first(UnfinishedCheckpoint& checkpoint) {
    StateCopy state(layouts_[0]->memory(layouts_[0]->all()), 16'384);
    state.begin();
    checkpoint.write(state, [] {});
  }
  void write_other(
      std::int32_t rank, const std::function<void()>& between_pieces = [] {}) {
    CheckpointShare share(run_.folder(), 7, *layouts_[static_cast<std::size_t>(rank)], plan_, rank);
    StateCopy state(layouts_[static_cast<std::size_t>(rank)]->memory(share.range()), 16'384);
    state.begin();
    share.write(state, between_pieces);
  }
  static std::string failure(ErrorCode code, const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "nothing was thrown";
  }

  SmallRun run_{"mnist"};
  const CheckpointPlan plan_{.writers = {0, 1, 2}, .tag = "0a0b0c0d"};
  std::vector<std::unique_ptr<Replica>> replicas_;
  std::vector<std::unique_ptr<StateLayout>> layouts_;
};

TEST_F(ShareTest, SeveralWriteTheVeryFilesThatOneWrites) {
  SmallRun alone("mnist");
  const std::string expected =
      write_checkpoint(alone.folder(), {.step = 7, .ballot = {1, 1}}, run_.recipe, *replicas_[0]);
  UnfinishedCheckpoint checkpoint = begin();
  std::vector<std::jthread> others;
  for (const std::int32_t rank : {1, 2}) others.emplace_back([this, rank] { write_other(rank); });
  write_first(checkpoint);
  others.clear();
  EXPECT_TRUE(checkpoint.has_all_shares());
  checkpoint.complete(run_.recipe);
  const std::string written = checkpoint.commit();
  for (const char* file : {"parameters.safetensors", "optimizer.safetensors", "recipe.toml", "manifest.json"})
    EXPECT_TRUE(read_all(written + "/" + file) == read_all(expected + "/" + file)) << file;
  EXPECT_EQ(std::distance(fs::directory_iterator(written), fs::directory_iterator()), 4);
  EXPECT_EQ(find_damage(run_.folder(), 7), std::nullopt);
  const auto other = run_.replica();
  EXPECT_EQ(read_state(written, *other).state_hash, replicas_[0]->state_hash(7));
}

TEST_F(ShareTest, NothingIsWholeBeforeEverybodyHasReported) {
  UnfinishedCheckpoint checkpoint = begin();
  write_first(checkpoint);
  EXPECT_FALSE(checkpoint.has_all_shares());
  EXPECT_EQ(checkpoint.missing_shares(), (std::vector<std::int32_t>{1, 2}));
  write_other(2);
  EXPECT_FALSE(checkpoint.has_all_shares());
  EXPECT_EQ(checkpoint.missing_shares(), std::vector<std::int32_t>{1});
  write_other(1);
  EXPECT_TRUE(checkpoint.has_all_shares());
}

TEST_F(ShareTest, WhatOneWroteAndAnotherHasNotIsNamedByTensorAndElements) {
  replicas_[1]->state()[0].tensor.data<float>()[1] += 1.0F;
  UnfinishedCheckpoint checkpoint = begin();
  write_first(checkpoint);
  write_other(1);
  write_other(2);
  const StateLayout::Placed& tensor = layouts_[1]->tensors()[0];
  const std::int64_t elements = std::min(tensor.range.end, layouts_[1]->shares(3)[1].end) / 4;
  EXPECT_EQ(failure(ErrorCode::kDataLoss, [&] { checkpoint.has_all_shares(); }),
            fmt::format("the share of worker 1: elements 0 to {} of {}: what it wrote is not what this worker has",
                        elements, tensor.name));
}

TEST_F(ShareTest, AShareThatFailsSaysWhyToWhoCommits) {
  UnfinishedCheckpoint checkpoint = begin();
  write_first(checkpoint);
  write_other(2);
  EXPECT_THROW(write_other(1, [] { fail(ErrorCode::kUnavailable, "the disk is gone"); }), Error);
  EXPECT_EQ(failure(ErrorCode::kDataLoss, [&] { checkpoint.has_all_shares(); }),
            "the share of worker 1: the disk is gone");
}

TEST_F(ShareTest, AFlippedBitOnTheDiskIsFoundBeforeAnythingIsSaid) {
  UnfinishedCheckpoint checkpoint = begin();
  write_first(checkpoint);
  const std::string file = unfinished_path(run_.folder(), 7, plan_.tag) + "/" + kParametersFile;
  const StateRange share = layouts_[1]->shares(3)[1];
  ShareWriter writer(*layouts_[1], share, unfinished_path(run_.folder(), 7, plan_.tag));
  for (const auto part : layouts_[1]->memory(share)) writer.write(part);
  flip_bit(file, layouts_[1]->file_offset(layouts_[1]->chunks(share).front()) + 8);
  EXPECT_NE(failure(ErrorCode::kDataLoss, [&] { writer.finish([] {}); })
                .find(layouts_[1]->tensors()[0].name + " does not read back as it was written"),
            std::string::npos);
}

TEST_F(ShareTest, AWriterThatIsKilledAtAnyInstantLeavesNothingUnderAFinalName) {
  int kill_at = 1;
  for (bool killed = true; killed; ++kill_at) {
    UnfinishedCheckpoint checkpoint = begin();
    write_first(checkpoint);
    write_other(2);
    const pid_t child = fork();
    if (child == 0) {
      int asked = 0;
      write_other(1, [&] {
        if (++asked == kill_at) raise(SIGKILL);
      });
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    killed = WIFSIGNALED(status);
    EXPECT_EQ(checkpoint.has_all_shares(), !killed) << kill_at;
    EXPECT_EQ(checkpoint_steps(run_.folder()), std::vector<std::int64_t>{});
  }
  EXPECT_GT(kill_at, 4) << "pieces of 16 KiB";
  EXPECT_TRUE(fs::is_empty(run_.folder() / "checkpoints"));
}

TEST_F(ShareTest, OneThatIsGivenUpLeavesNothingWhoeverStillWrites) {
  std::atomic<bool> writing = false;
  std::atomic<bool> given_up = false;
  std::jthread other;
  {
    UnfinishedCheckpoint checkpoint = begin();
    write_first(checkpoint);
    other = std::jthread([&] {
      EXPECT_THROW(write_other(1,
                               [&] {
                                 writing = true;
                                 while (!given_up) std::this_thread::yield();
                               }),
                   Error);
    });
    while (!writing) std::this_thread::yield();
  }
  given_up = true;
  other.join();
  EXPECT_TRUE(fs::is_empty(run_.folder() / "checkpoints"));
}

}  // namespace
}  // namespace convoy::worker
