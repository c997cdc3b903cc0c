// examples/custom_model, built out of tree against an installed Convoy, keeps the promises that Convoy's own recipes
// do.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/launched_run.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;
using testing_support::LaunchedRun;
using Words = std::vector<std::string>;

struct Outcome {
  std::vector<std::string> loss_bits;
  std::vector<double> losses;
  nlohmann::json final_report;
};

// Convoy in a prefix that was moved since, and the example built beside it.
class CustomModelTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    place_ = std::make_unique<LaunchedRun>("library");
    const std::string installed = place_->folder() / "installed";
    ASSERT_EQ(run({CMAKE_PROGRAM, "--install", CONVOY_BUILD_DIR, "--prefix", installed}), 0) << said();
    fs::rename(installed, prefix());
    fs::copy(fs::path(CONVOY_SOURCE_DIR) / "examples" / "custom_model", place_->folder() / "source");
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_EQ(run({CMAKE_PROGRAM, "-S", "source", "-B", "build", "-DCMAKE_PREFIX_PATH=" + prefix().string(),
                   "-DCMAKE_CXX_COMPILER=" COMPILER, "-DCMAKE_CXX_COMPILER_LAUNCHER=" COMPILER_LAUNCHER,
                   "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror " CONSUMER_FLAGS}),
              0)
        << said();
    ASSERT_EQ(run({CMAKE_PROGRAM, "--build", "build"}), 0) << said();
    built_ = true;
    RecordProperty("build_s",
                   std::to_string(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count()));
  }
  static void TearDownTestSuite() { place_.reset(); }
  void SetUp() override { ASSERT_TRUE(built_); }

  static fs::path prefix() { return place_->folder() / "moved"; }
  static std::string example() { return place_->folder() / "build" / "custom_model"; }
  static std::string convoy() { return prefix() / "bin" / "convoy"; }

  static int run(const Words& command) {
    for (const char* stream : {"stdout", "stderr"}) fs::remove(place_->folder() / stream);
    place_->start(command);
    const auto exit = place_->wait_exit(std::chrono::seconds(300));
    return exit && exit->signal == 0 ? exit->exit_code : -1;
  }
  static std::string said() { return place_->output() + place_->errors(); }

  // Trains with `workers` under `convoy launch`, or alone (0), and reads what the run left.
  static Outcome train(int workers, const std::string& name, const Words& overrides = {}) {
    Words command{example()};
    if (workers > 0) command = {convoy(), "launch", "-n", std::to_string(workers), "--run", name, "--", example()};
    command.insert(command.end(), overrides.begin(), overrides.end());
    if (workers == 0) command.insert(command.end(), {"--run", name});
    EXPECT_EQ(run(command), 0) << said();
    return outcome_of(name);
  }
  static Words mpirun(int ranks, const Words& arguments) {
    Words words = {"/usr/bin/env",       "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                   CONVOY_MPIRUN,        "--oversubscribe",          "-np",
                   std::to_string(ranks)};
    words.push_back(example());
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
  }
  static Outcome outcome_of(const std::string& name) {
    Outcome outcome;
    std::ifstream metrics(place_->folder() / name / "metrics.jsonl");
    for (std::string text; std::getline(metrics, text);) {
      const auto line = nlohmann::json::parse(text);
      outcome.loss_bits.push_back(line.at("loss_bits"));
      outcome.losses.push_back(line.at("loss"));
    }
    std::ifstream final_report(place_->folder() / name / "final.json");
    if (final_report) outcome.final_report = nlohmann::json::parse(final_report);
    return outcome;
  }

  // What the program says when it refuses to run; nothing may be left of it.
  static std::string refusal(const Words& command) {
    EXPECT_EQ(run(command), 2) << said();
    EXPECT_EQ(place_->output(), "");
    EXPECT_FALSE(fs::exists(place_->folder() / "runs"));
    EXPECT_EQ(place_->left_behind(std::chrono::seconds(1)), "");
    return place_->errors();
  }

  static inline std::unique_ptr<LaunchedRun> place_;
  static inline bool built_ = false;
};

TEST_F(CustomModelTest, AnyNumberOfWorkersGivesTheSameBits) {
  const std::string steps = "train.steps=100";
  const Outcome alone = train(0, "alone", {steps});
  ASSERT_EQ(alone.loss_bits.size(), 100U);
  for (const int workers : {2, 3}) {
    const std::string graph = workers == 2 ? "train.graph=dynamic" : "train.graph=static";
    const Outcome launched = train(workers, "workers-" + std::to_string(workers), {steps, graph});
    EXPECT_EQ(launched.loss_bits, alone.loss_bits) << workers;
    for (const char* key : {"parameters_hash", "state_hash", "eval_loss"})
      EXPECT_EQ(launched.final_report.at(key), alone.final_report.at(key)) << workers << " workers, " << key;
    EXPECT_EQ(launched.final_report.at("world"), workers);
  }
  EXPECT_LT(alone.losses.back(), 0.5 * alone.losses.front()) << "it learns";
  EXPECT_GT(alone.final_report.at("eval_accuracy").get<double>(), 0.8);
}

TEST_F(CustomModelTest, UnderMpirunToo) {
  if (std::string(CONVOY_MPIRUN).empty()) GTEST_SKIP() << "there is no MPI here";
  const Outcome alone = train(0, "mpirun-alone", {"train.steps=40"});
  for (const std::string engine : {"local", "mpi"}) {
    ASSERT_EQ(run(mpirun(3, {"train.steps=40", "--run", engine, "sync.engine=" + engine})), 0) << said();
    EXPECT_NE(said().find("convoy: custom_model with 3 workers (Open MPI: OMPI_COMM_WORLD_RANK=0, "), std::string::npos)
        << said();
    EXPECT_NE(said().find("step 40/40"), std::string::npos) << said();
    const Outcome outcome = outcome_of(engine);
    EXPECT_EQ(outcome.loss_bits, alone.loss_bits) << engine;
    for (const char* key : {"parameters_hash", "state_hash", "eval_loss"})
      EXPECT_EQ(outcome.final_report.at(key), alone.final_report.at(key)) << engine << ", " << key;
    EXPECT_EQ(outcome.final_report.at("world"), 3);
    EXPECT_EQ(place_->left_behind(std::chrono::seconds(3)), "");
  }
  // Its own arguments decide nothing of what the scheduler is told.
  ASSERT_EQ(run(mpirun(2, {"train.steps=2"})), 0) << said();
  const std::string folder = fs::directory_iterator(place_->folder() / "runs")->path().filename();
  EXPECT_TRUE(folder.starts_with("custom_model-")) << folder;
  fs::remove_all(place_->folder() / "runs");
}

TEST_F(CustomModelTest, WhatIsWrongUnderMpirunIsSaidOnce) {
  if (std::string(CONVOY_MPIRUN).empty()) GTEST_SKIP() << "there is no MPI here";
  EXPECT_EQ(run(mpirun(2, {"model.widht=8"})), 2);
  const std::string message = "convoy: command line: model.widht=8: unknown key; did you mean model.width?\n";
  const std::size_t first = said().find(message);
  EXPECT_NE(first, std::string::npos) << said();
  EXPECT_EQ(said().find("convoy: ", first + 1), std::string::npos) << said();
  EXPECT_FALSE(fs::exists(place_->folder() / "runs"));
  EXPECT_EQ(place_->left_behind(std::chrono::seconds(3)), "");
}

TEST_F(CustomModelTest, ARankKilledUnderMpirunLeavesNothing) {
  if (std::string(CONVOY_MPIRUN).empty()) GTEST_SKIP() << "there is no MPI here";
  for (const std::string rank : {"0", "1"}) {
    for (const char* stream : {"stdout", "stderr"}) fs::remove(place_->folder() / stream);
    place_->start(mpirun(2, {"train.steps=1000000", "--run", "killed-" + rank}));
    const fs::path metrics = place_->folder() / ("killed-" + rank) / "metrics.jsonl";
    ASSERT_TRUE(place_->wait_until([&] { return fs::exists(metrics) && fs::file_size(metrics) > 1000; },
                                   std::chrono::seconds(20)))
        << said();
    place_->note_resources();
    const auto pid = place_->with_variable("OMPI_COMM_WORLD_RANK=" + rank);
    ASSERT_TRUE(pid);
    kill(*pid, SIGKILL);
    const auto exit = place_->wait_exit(std::chrono::seconds(20));
    ASSERT_TRUE(exit);
    EXPECT_FALSE(exit->success());
    EXPECT_EQ(place_->left_behind(std::chrono::seconds(5)), "");
  }
}

TEST_F(CustomModelTest, ItsRecipeIsWrittenWholeAndStartsTheSameRunAgain) {
  const Outcome first = train(1, "first", {"train.steps=5", "model.width=8"});
  const std::string recipe = place_->folder() / "first" / "recipe.toml";
  std::ifstream file(recipe);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(text.starts_with("[model]\nkind = \"custom\"\nwidth = 8\nblocks = 3\nsmoothing = 0.05\n")) << text;
  const Outcome again = train(2, "again", {recipe});
  EXPECT_EQ(again.loss_bits, first.loss_bits);
  EXPECT_EQ(again.final_report.at("state_hash"), first.final_report.at("state_hash"));
}

// Ended, and then stopped by a signal: it goes on with more steps and other workers, as the run that never was.
TEST_F(CustomModelTest, ResumesWithAnyNumberOfWorkersAndTheSameBits) {
  const std::string constant = "optimizer.schedule=constant";
  const Outcome whole = train(0, "whole", {constant, "train.steps=30"});
  train(0, "parts", {constant, "train.steps=10"});
  EXPECT_EQ(run({example(), constant, "train.steps=20", "--run", "parts"}), 2);
  EXPECT_EQ(place_->errors(),
            "convoy: run directory parts holds a run of another recipe: train.steps = 20 (was 10); name another one "
            "with --run, or go on with it: custom_model resume parts train.steps=20\n");
  ASSERT_EQ(run({convoy(), "launch", "-n", "2", "--", example(), "resume", "parts/", "train.steps=20"}), 0) << said();
  EXPECT_NE(said().find("convoy: parts goes on after step 10 of 20\n"), std::string::npos) << said();
  Words last = {example(), "resume", "parts", "train.steps=30"};
  if (!std::string(CONVOY_MPIRUN).empty()) last = mpirun(3, {"resume", "parts", "train.steps=30"});
  ASSERT_EQ(run(last), 0) << said();
  const Outcome parts = outcome_of("parts");
  EXPECT_EQ(parts.loss_bits, whole.loss_bits);
  for (const char* key : {"parameters_hash", "state_hash", "eval_loss"})
    EXPECT_EQ(parts.final_report.at(key), whole.final_report.at(key)) << key;

  EXPECT_EQ(run({example(), "resume", "parts", "model.width=8"}), 2);
  EXPECT_EQ(place_->errors(),
            "convoy: command line: model.width=8: expected 32, with which the run was begun (parts/recipe.toml): "
            "another value would change its numbers\n");
  ASSERT_EQ(run({example(), "eval", "parts", "--json"}), 0) << said();
  EXPECT_EQ(nlohmann::json::parse(place_->output()).at("eval_loss"), whole.final_report.at("eval_loss"));
  EXPECT_EQ(run({convoy(), "launch", "-n", "2", "--", example(), "eval", "parts"}), 2);
  EXPECT_EQ(place_->errors(),
            "convoy: convoy launch: an evaluation is one process: custom_model eval parts by itself\n");
}

TEST_F(CustomModelTest, AStoppedRunSaysWithWhatToGoOn) {
  const Words alone = {example(), "train.steps=1000000", "--run", "stopped"};
  const Words launched = {convoy(), "launch", "-n", "2", "--run", "stopped", "--", example(), "train.steps=1000000"};
  for (const Words& command : {alone, launched}) {
    fs::remove_all(place_->folder() / "stopped");
    for (const char* stream : {"stdout", "stderr"}) fs::remove(place_->folder() / stream);
    place_->start(command);
    const fs::path metrics = place_->folder() / "stopped" / "metrics.jsonl";
    ASSERT_TRUE(place_->wait_until([&] { return fs::exists(metrics) && fs::file_size(metrics) > 1000; },
                                   std::chrono::seconds(20)))
        << said();
    kill(place_->pid(), SIGTERM);
    ASSERT_EQ(place_->wait_exit(std::chrono::seconds(20)), (ExitStatus{.exit_code = 75, .signal = 0})) << said();
    EXPECT_NE(said().find("; run `custom_model resume stopped` to go on\n"), std::string::npos) << said();
  }
}

TEST_F(CustomModelTest, TheTrainingStepIsTheProgramsOwn) {
  const Outcome smoothed = train(0, "smoothed", {"train.steps=2"});
  const Outcome plain = train(0, "plain", {"train.steps=2", "model.smoothing=0"});
  EXPECT_NE(smoothed.loss_bits, plain.loss_bits);
}

TEST_F(CustomModelTest, WrongUsageReadsTheSameAloneAndLaunched) {
  const std::vector<std::pair<Words, std::string>> cases{
      {{"model.widht=8"}, "command line: model.widht=8: unknown key; did you mean model.width?"},
      {{"train.step=8"}, "command line: train.step=8: unknown key; did you mean train.steps?"},
      {{"data.arms=1"}, "command line: data.arms=1: expected at least 2, found 1"},
      {{"none.toml"}, "none.toml: cannot read the recipe: No such file or directory"}};
  for (const auto& [words, message] : cases) {
    Words alone{example()};
    Words launched{convoy(), "launch", "-n", "2", "--", example()};
    for (Words* command : {&alone, &launched}) {
      command->insert(command->end(), words.begin(), words.end());
      EXPECT_EQ(refusal(*command), "convoy: " + message + "\n");
    }
  }
  EXPECT_EQ(refusal({convoy(), "launch", "-n", "2", "--", example(), "--place", "alone"}),
            "convoy: convoy launch: --place alone: it tells its workers their places itself\n");
  EXPECT_EQ(refusal({convoy(), "launch", "-n", "9", "--", example()}),
            "convoy: -n 9: expected at most one worker a logical shard, of which there are 8 (train.logical_shards)\n");
}

TEST_F(CustomModelTest, LaunchRefusesWhatIsNoProgramOfTheLibrary) {
  EXPECT_EQ(refusal({convoy(), "launch", "-n", "2", "--", "/bin/true"}),
            "convoy: /bin/true: ended without having prepared a run: expected a program built on Convoy's library\n");
  EXPECT_EQ(refusal({convoy(), "launch", "-n", "2", "--", "./none"}),
            "convoy: convoy launch: ./none: expected a program that can be run: No such file or directory\n");
}

TEST_F(CustomModelTest, ItsModelIsNotConvoysToUse) {
  train(0, "trained", {"train.steps=1"});
  EXPECT_EQ(run({convoy(), "train", "trained/recipe.toml"}), 2);
  EXPECT_EQ(place_->errors(),
            "convoy: trained/recipe.toml:7: [data] is of kind \"custom\", a program's own: run this recipe with that "
            "program\n");
}

TEST_F(CustomModelTest, TheInstalledProgramKnowsItsVersion) {
  EXPECT_EQ(run({convoy(), "--version"}), 0);
  EXPECT_TRUE(place_->output().starts_with("convoy 0.")) << place_->output();
  EXPECT_TRUE(fs::exists(prefix() / "share" / "convoy" / "recipes" / "gpt-tiny.toml"));
}

}  // namespace
}  // namespace convoy
