// What a run makes of a disk that is full, or that nothing can be written to: checkpoints that do not fit are said and
// cost nothing else; where not even its records can be kept it ends, says why, and goes on once there is room.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <thread>

#include "core/base/exit_code.h"
#include "tests/chaos/faults/faulted_run.h"

namespace convoy::chaos {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing_support::LaunchedRun;

const Company kThree{.workers = 3, .graph = "static", .engine = "local"};

// A file system of its own in a folder, or nothing where none may be mounted.
class Mount {
 public:
  Mount(const fs::path& folder, const std::string& options, unsigned long flags = 0) : folder_(folder) {
    fs::create_directories(folder);
    mounted_ = mount("tmpfs", folder.c_str(), "tmpfs", flags, options.c_str()) == 0;
  }
  ~Mount() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  bool mounted() const { return mounted_; }

 private:
  fs::path folder_;
  bool mounted_ = false;
};

// Takes what there is of a disk, but for `left` bytes, and what becomes free, for as long as it lives.
class Filler {
 public:
  Filler(const fs::path& folder, std::uintmax_t left) : path_(folder / "filler") {
    filling_ = std::jthread([this, folder, left](const std::stop_token& over) {
      std::ofstream file(path_, std::ios::binary);
      const std::string block(4096, 'x');
      while (!over.stop_requested()) {
        if (fs::space(folder).available > left && file.write(block.data(), 4096) && file.flush()) continue;
        file.clear();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  ~Filler() {
    filling_ = {};
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  Filler(const Filler&) = delete;
  Filler& operator=(const Filler&) = delete;

 private:
  fs::path path_;
  std::jthread filling_;
};

void wait_for_steps(FaultedRun& run, std::int64_t steps) {
  ASSERT_TRUE(LaunchedRun::wait_until([&] { return run.steps_recorded() >= steps; }, seconds(30))) << run.account();
}

void wait_for_event(FaultedRun& run, const std::string& kind) {
  ASSERT_TRUE(LaunchedRun::wait_until([&] { return run.count_events(kind) > 0; }, seconds(30))) << run.account();
}

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void expect_line(const std::string& text, const std::string& pattern) {
  EXPECT_TRUE(std::regex_search(text, std::regex(pattern))) << pattern << "\nin\n" << text;
}

void expect_end_as(FaultedRun& run, const Traces& undisturbed) {
  const auto end = run.wait_end(seconds(60));
  ASSERT_TRUE(end.has_value()) << "it still runs\n" << run.account();
  EXPECT_TRUE(end->success()) << run.account();
  EXPECT_EQ(run.left_behind(), "");
  Traces traces = run.traces();
  // Events tell of steps that were done again, too.
  for (auto& [step, found] : traces.evaluated) found.erase(std::unique(found.begin(), found.end()), found.end());
  EXPECT_EQ(differences(traces, undisturbed), "") << run.account();
}

// It ends by itself, and not well; no step that is on record has other bits, and no line is torn.
void expect_failure(FaultedRun& run, int exit_code) {
  const auto end = run.wait_end(seconds(40));
  ASSERT_TRUE(end.has_value()) << "it still runs\n" << run.account();
  EXPECT_EQ(*end, (ExitStatus{.exit_code = exit_code, .signal = 0})) << run.account();
  EXPECT_EQ(run.left_behind(), "");
  for (const char* file : {"metrics.jsonl", "events.jsonl"})
    EXPECT_TRUE(read_all(run.folder() / file).ends_with('\n')) << file << " ends with half a line";
  expect_line(run.processes().errors(), "convoy: [^\n]*(No space left on device|the disk is full)");
  const auto count = std::min<std::size_t>(run.traces().loss_bits.size(), kSteps);
  for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(run.traces().loss_bits[i], undisturbed().loss_bits[i]) << i;
}

// No checkpoint fits any more, a few lines still do: it says so and trains to the end. There the last one, which is
// what the run is for, cannot be had.
TEST(FullDiskTest, TooFullForCheckpointsCostsOnlyThose) {
  FaultedRun run;
  const Mount disk(run.folder(), "size=1m");
  if (!disk.mounted()) GTEST_SKIP() << "no file system may be mounted here";
  run.start(kThree, "2@reduce@14=KILL");
  expect_failure(run, 1);
  EXPECT_GE(run.count_events("checkpoint_failed"), 1) << run.account();
  expect_line(run.processes().output(), "step 10: warning: [^\n]*No space left on device");
  EXPECT_EQ(run.traces().loss_bits, undisturbed().loss_bits) << "every step is on record";
}

const Traces& undisturbed_and_long() {
  static const Traces traces = train_undisturbed({"train.steps=300"});
  return traces;
}

TEST(FullDiskTest, CheckpointsAreWrittenAgainOnceThereIsRoom) {
  undisturbed_and_long();
  FaultedRun run;
  const Mount disk(run.folder(), "size=32m");
  if (!disk.mounted()) GTEST_SKIP() << "no file system may be mounted here";
  run.start(kThree, "", {}, {"train.steps=300"});
  wait_for_steps(run, 2);
  {
    const Filler filler(run.folder(), 600'000);  // the state takes more
    wait_for_event(run, "checkpoint_failed");
  }
  expect_end_as(run, undisturbed_and_long());
  expect_line(run.processes().errors() + run.processes().output(), "No space left on device");
}

TEST(FullDiskTest, AFolderOfCheckpointsThatCannotBeWrittenForAWhileCostsOnlyThose) {
  undisturbed_and_long();
  FaultedRun run;
  run.start(kThree, "", {}, {"train.steps=300"});
  wait_for_steps(run, 2);
  {
    const Mount disk(run.folder() / "checkpoints", "", MS_RDONLY);
    if (!disk.mounted()) GTEST_SKIP() << "no file system may be mounted here";
    wait_for_event(run, "checkpoint_failed");
  }
  expect_end_as(run, undisturbed_and_long());
  expect_line(run.processes().errors() + run.processes().output(), "Read-only file system");
}

// Nothing fits any more, not even a line: it ends, says why, and goes on from its checkpoint once there is room.
TEST(FullDiskTest, WithoutRoomForItsRecordsARunEndsAndGoesOnLater) {
  undisturbed_and_long();
  FaultedRun run;
  const Mount disk(run.folder(), "size=32m");
  if (!disk.mounted()) GTEST_SKIP() << "no file system may be mounted here";
  run.start(kThree, "", {}, {"train.steps=300"});
  wait_for_event(run, "checkpoint");
  {
    const Filler filler(run.folder(), 0);
    expect_failure(run, kExitStopped);
    expect_line(run.processes().errors(),
                "; the last checkpoint is of step [0-9]+: run `convoy resume [^\n]+` to go on");
  }
  run.resume(kThree);
  expect_end_as(run, undisturbed_and_long());
}

TEST(FullDiskTest, ARunThatWasStoppedGoesOnOnceThereIsRoom) {
  FaultedRun run;
  const Mount disk(run.folder(), "size=32m");
  if (!disk.mounted()) GTEST_SKIP() << "no file system may be mounted here";
  run.start(kThree, "1@compute@17=TERM");
  const auto end = run.wait_end(seconds(40));
  ASSERT_TRUE(end && end->exit_code == kExitStopped) << run.account();
  {
    const Filler filler(run.folder(), 0);
    run.resume(kThree);
    expect_failure(run, 1);
  }
  run.resume(kThree);
  expect_end_as(run, undisturbed());
}

}  // namespace
}  // namespace convoy::chaos
