// Everything is killed in the middle of a checkpoint, again and again: what stands is whole, and no bit is lost.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/launched_run.h"
#include "tests/support/small_data.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing_support::LaunchedRun;

constexpr char kRecipe[] = R"(
[model]
kind = "gpt"
layers = 2
heads = 2
width = 128
[data]
kind = "text"
path = "text.txt"
context = 16
[optimizer]
kind = "adamw"
lr = 1e-3
[train]
steps = 240
global_batch = 4
logical_shards = 4
[checkpoint]
every = 1
)";

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The values of `field` in each line of metrics.jsonl, or in final.json.
std::string values_of(const fs::path& path, const std::string& field) {
  std::string text = read_all(path);
  std::string values;
  for (std::size_t at = 0; (at = text.find("\"" + field + "\": ", at)) != std::string::npos; ++at)
    values += text.substr(at, text.find_first_of(",\n", at) - at) + "\n";
  return values;
}

// The step whose checkpoint is being written, or 0.
int step_being_written(const fs::path& run) {
  std::error_code error;
  for (fs::directory_iterator entry(run / "checkpoints", error), end; !error && entry != end; entry.increment(error)) {
    int step = 0;
    char last = 0;
    const std::string name = entry->path().filename().string();
    if (std::sscanf(name.c_str(), ".step-%d.partia%c", &step, &last) == 2) return step;
  }
  return 0;
}

void run_to_the_end(LaunchedRun& run, const std::vector<std::string>& command) {
  run.start(command);
  const auto exit = run.wait_exit(seconds(120));
  ASSERT_TRUE(exit && exit->success()) << run.output() << run.errors();
}

TEST(CheckpointKillTest, KilledInTheMiddleOfCheckpointsItLosesNoBit) {
  LaunchedRun run("checkpoint-kill");
  std::ofstream(run.folder() / "tiny.toml") << kRecipe;
  testing_support::write_text(run.folder() / "text.txt", 5000);
  run_to_the_end(run, {CONVOY_PROGRAM, "train", "tiny.toml", "--run", "whole"});

  int step = 0;
  for (const std::string workers : {"2", "1", "3", "2"}) {
    run.start({CONVOY_PROGRAM, "launch", "-n", workers, "--run", "out", "--", "train", "tiny.toml"});
    step += 8;
    const auto until = std::chrono::steady_clock::now() + seconds(60);
    while (step_being_written(run.folder() / "out") < step && std::chrono::steady_clock::now() < until) {
    }
    for (const pid_t pid : run.processes()) kill(pid, SIGKILL);
    run.wait_exit(seconds(10));
    ASSERT_EQ(run.left_behind(seconds(5)), "");
    ASSERT_FALSE(fs::exists(run.folder() / "out/final.json")) << "it was not killed in time";
  }
  run_to_the_end(run, {CONVOY_PROGRAM, "launch", "-n", "2", "--", "resume", "out"});
  EXPECT_EQ(run.output().find("warning"), std::string::npos) << run.output();
  EXPECT_EQ(step_being_written(run.folder() / "out"), 0) << "what was half-written is gone";
  for (const char* field : {"step", "loss_bits"})
    EXPECT_EQ(values_of(run.folder() / "out/metrics.jsonl", field),
              values_of(run.folder() / "whole/metrics.jsonl", field));
  for (const char* field : {"parameters_hash", "state_hash", "eval_loss"})
    EXPECT_EQ(values_of(run.folder() / "out/final.json", field), values_of(run.folder() / "whole/final.json", field));
}

}  // namespace
}  // namespace convoy
