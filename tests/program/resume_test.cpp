// Runs that are stopped and gone on with: what goes on, what is refused, and that no bit tells.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <thread>

#include "tests/program/program_run.h"

namespace convoy {
namespace {

using Words = std::vector<std::string>;
using nlohmann::json;

std::vector<json> lines_of(const ProgramRun& run, const std::string& file) {
  std::vector<json> lines;
  std::istringstream text(run.read(file));
  for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
  return lines;
}

std::vector<std::string> loss_bits(const ProgramRun& run, const std::string& folder) {
  std::vector<std::string> bits;
  for (const json& line : lines_of(run, folder + "/metrics.jsonl")) bits.push_back(line.at("loss_bits"));
  return bits;
}

std::vector<std::string> details(const ProgramRun& run, const std::string& folder, const std::string& kind) {
  std::vector<std::string> found;
  for (const json& event : lines_of(run, folder + "/events.jsonl")) {
    if (event.at("kind") == kind) found.push_back(event.at("detail"));
  }
  return found;
}

// The run's own words, without what differs between two runs of the same bits.
void expect_same_result(const ProgramRun& run, const std::string& folder, const std::string& expected) {
  EXPECT_EQ(loss_bits(run, folder), loss_bits(run, expected));
  const json found = json::parse(run.read(folder + "/final.json"));
  const json wanted = json::parse(run.read(expected + "/final.json"));
  for (const char* field : {"steps", "final_loss", "parameters_hash", "state_hash", "eval_loss"})
    EXPECT_EQ(found.at(field), wanted.at(field)) << field;
}

void damage(const ProgramRun& run, const std::string& file) {
  std::string bytes = run.read(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  run.write(file, bytes);
}

class ResumeTest : public testing::Test {
 protected:
  // A run of 9 steps and, in `out`, one of 7 that has its checkpoints after steps 2, 4 and 6, as if it had been killed
  // at step 7.
  void SetUp() override {
    ASSERT_EQ(run_.run({"train", "gpt.toml", "--run", "whole", "train.steps=9"}), 0) << run_.errors();
    ASSERT_EQ(
        run_.run({"train", "gpt.toml", "--run", "out", "train.steps=7", "checkpoint.every=2", "checkpoint.keep=4"}), 0)
        << run_.errors();
    std::filesystem::remove_all(run_.folder() / "out/checkpoints/step-7");
    std::filesystem::remove(run_.folder() / "out/final.json");
  }
  void expect_refused(const Words& words, const std::string& message) {
    EXPECT_EQ(run_.run(words), 2);
    EXPECT_EQ(run_.message(), "convoy: " + message + "\n");
  }

  ProgramRun run_;
};

TEST_F(ResumeTest, GoesOnWithAnotherNumberOfWorkersAndTheSameBits) {
  ASSERT_EQ(run_.run({"launch", "-n", "2", "--", "resume", "out", "train.steps=9"}), 0) << run_.errors();
  EXPECT_NE(run_.output().find("convoy: out goes on after step 6 of 9\n"), std::string::npos) << run_.output();
  expect_same_result(run_, "out", "whole");
  const auto metrics = lines_of(run_, "out/metrics.jsonl");
  ASSERT_EQ(metrics.size(), 9U);
  EXPECT_EQ(metrics[5].at("ballot"), "1.1");
  EXPECT_EQ(metrics[6].at("ballot"), "2.1");
  EXPECT_EQ(metrics[6].at("world"), 2);
  EXPECT_EQ(details(run_, "out", "resumed"),
            std::vector<std::string>{"from out/checkpoints/step-6 (ballot 1.1, 1 worker); now 2 workers; "
                                     "train.steps = 9 (was 7)"});
  EXPECT_TRUE(exists(run_.folder() / "out/journal/term-2"));
  EXPECT_TRUE(exists(run_.folder() / "out/checkpoints/step-9/manifest.json"));
  EXPECT_FALSE(exists(run_.folder() / "out/checkpoints/step-2")) << "four are kept";
}

TEST_F(ResumeTest, TrainTakesUpAnUnfinishedRunOfTheSameRecipe) {
  const Words same = {"train", "gpt.toml", "--run", "out", "train.steps=7", "checkpoint.every=2", "checkpoint.keep=4"};
  ASSERT_EQ(run_.run(same), 0) << run_.errors();
  EXPECT_EQ(lines_of(run_, "out/metrics.jsonl").size(), 7U);
  expect_refused(same, "run directory out holds a finished run: name another one with --run");
}

TEST_F(ResumeTest, TrainRefusesARunOfAnotherRecipeAndNamesTheFirstDifference) {
  expect_refused({"train", "gpt.toml", "--run", "out", "train.steps=7", "model.width=32", "train.seed=3"},
                 "run directory out holds a run of another recipe: model.width = 32 (was 16); name another one with "
                 "--run");
  expect_refused({"launch", "-n", "2", "--run", "out", "--", "train", "gpt.toml", "train.steps=8", "checkpoint.every=2",
                  "checkpoint.keep=4"},
                 "run directory out holds a run of another recipe: train.steps = 8 (was 7); name another one with "
                 "--run, or go on with it: convoy resume out train.steps=8");
}

TEST_F(ResumeTest, AFinishedRunSaysSoAndCanGoOnForMoreSteps) {
  ASSERT_EQ(run_.run({"resume", "out"}), 0) << run_.errors();
  ASSERT_EQ(run_.run({"resume", "out"}), 0) << run_.errors();
  EXPECT_EQ(run_.output(), "convoy: out is done: all 7 steps; train.steps=K goes on for more\n");
  ASSERT_EQ(run_.run({"resume", "out", "train.steps=9"}), 0) << run_.errors();
  expect_same_result(run_, "out", "whole");
}

TEST_F(ResumeTest, ARunWithoutItsFinalReportGetsIt) {
  std::filesystem::copy(run_.folder() / "whole", run_.folder() / "again", std::filesystem::copy_options::recursive);
  std::filesystem::remove(run_.folder() / "again/final.json");
  ASSERT_EQ(run_.run({"resume", "again"}), 0) << run_.errors();
  expect_same_result(run_, "again", "whole");
}

TEST_F(ResumeTest, ADamagedCheckpointIsNamedAndTheOneBeforeIsUsed) {
  damage(run_, "out/checkpoints/step-6/optimizer.safetensors");
  ASSERT_EQ(run_.run({"resume", "out", "train.steps=9"}), 0) << run_.errors();
  const std::string what =
      "out/checkpoints/step-6/optimizer.safetensors: was changed since it was written (its hash is not the one in "
      "manifest.json)";
  EXPECT_NE(run_.output().find("convoy: warning: " + what + "\nconvoy: out goes on after step 4 of 9\n"),
            std::string::npos)
      << run_.output();
  EXPECT_EQ(details(run_, "out", "checkpoint_corrupt"), std::vector<std::string>{what});
  EXPECT_TRUE(exists(run_.folder() / "out/checkpoints/damaged-step-6"));
  expect_same_result(run_, "out", "whole");
}

TEST_F(ResumeTest, WithoutAnyWholeCheckpointNothingIsTouched) {
  damage(run_, "out/checkpoints/step-2/parameters.safetensors");
  damage(run_, "out/checkpoints/step-4/manifest.json");
  damage(run_, "out/checkpoints/step-6/recipe.toml");
  const std::string metrics = run_.read("out/metrics.jsonl");
  EXPECT_EQ(run_.run({"resume", "out"}), 1);
  EXPECT_TRUE(std::regex_search(
      run_.errors(),
      std::regex("^convoy: out: holds no whole checkpoint: out/checkpoints/step-6/recipe.toml: [^\n]*step-4/"
                 "manifest.json: [^\n]*step-2/parameters.safetensors: [^\n]*\n$")))
      << run_.errors();
  EXPECT_EQ(run_.read("out/metrics.jsonl"), metrics);
}

TEST_F(ResumeTest, WithoutCheckpointsItBeginsAgain) {
  std::filesystem::remove_all(run_.folder() / "out/checkpoints");
  ASSERT_EQ(run_.run({"resume", "out", "train.steps=9"}), 0) << run_.errors();
  EXPECT_NE(run_.output().find("convoy: out begins again: it has no checkpoint yet\n"), std::string::npos);
  expect_same_result(run_, "out", "whole");
}

TEST_F(ResumeTest, WhatWouldChangeThePastIsRefusedByName) {
  expect_refused({"resume", "out", "model.width=32"},
                 "command line: model.width=32: expected 16, with which the run was begun (out/recipe.toml): another "
                 "value would change its numbers");
  expect_refused({"resume", "out", "optimizer.lr=1.0"},
                 "command line: optimizer.lr=1.0: expected 0.01, with which the run was begun (out/recipe.toml): "
                 "another value would change its numbers");
  expect_refused({"launch", "-n", "2", "--", "resume", "out", "train.steps=3"},
                 "command line: train.steps=3: expected at least 6, the steps already done in out, found 3");
  expect_refused({"resume", "none"}, "none: expected a run directory, which is not there");
  expect_refused({"resume", "out/checkpoints/step-6"},
                 "out/checkpoints/step-6: is a checkpoint; expected the run directory that it is in");
  expect_refused({"resume", "digits"}, "digits: expected a run directory, which has a recipe.toml");
}

TEST_F(ResumeTest, OtherDataAreRefused) {
  testing_support::write_text(run_.folder() / "text.txt", 4100);
  EXPECT_EQ(run_.run({"resume", "out"}), 2);
  EXPECT_NE(run_.errors().find("data.path: "), std::string::npos) << run_.errors();
  EXPECT_NE(run_.errors().find("does not hold the data that the run was trained on until step 6"), std::string::npos)
      << run_.errors();
}

TEST_F(ResumeTest, ARunIsGoneOnWithByOneAtATime) {
  ProgramRun other;
  const std::string out = (run_.folder() / "out").string();
  other.start({CONVOY_PROGRAM, "resume", out, "train.steps=1000000"});
  ASSERT_TRUE(other.wait_until([&] { return loss_bits(run_, "out").size() > 8; }, std::chrono::seconds(30)));
  EXPECT_EQ(run_.run({"resume", "out"}), 2);
  const std::regex expected("convoy: run directory out is in use by pid " + std::to_string(other.pid()) + " on .*\n");
  EXPECT_TRUE(std::regex_match(run_.errors(), expected)) << run_.errors();
}

TEST_F(ResumeTest, EvalGivesTheBitsOfTheRunsOwnEvaluation) {
  ASSERT_EQ(run_.run({"eval", "whole", "--json", "train.threads=2"}), 0) << run_.errors();
  const json found = json::parse(run_.output());
  const json wanted = json::parse(run_.read("whole/final.json"));
  EXPECT_EQ(found.at("eval_loss"), wanted.at("eval_loss"));
  EXPECT_EQ(found.at("eval_accuracy"), wanted.at("eval_accuracy"));
  EXPECT_EQ(found.at("checkpoint"), "whole/checkpoints/step-9");
  EXPECT_EQ(found.at("step"), 9);
  ASSERT_EQ(run_.run({"eval", "out/checkpoints/step-4"}), 0) << run_.errors();
  EXPECT_TRUE(std::regex_match(run_.output(), std::regex("out/checkpoints/step-4: held-out loss [0-9.]+, accuracy "
                                                         "[0-9.]+ % of [0-9]+ samples\n")))
      << run_.output();
  damage(run_, "out/checkpoints/step-6/parameters.safetensors");
  ASSERT_EQ(run_.run({"eval", "out"}), 0) << run_.errors();
  EXPECT_EQ(run_.output().rfind("out/checkpoints/step-4: ", 0), 0U) << run_.output();
  EXPECT_EQ(run_.errors().rfind("convoy: warning: out/checkpoints/step-6/parameters.safetensors: was changed", 0), 0U);
  EXPECT_EQ(run_.run({"eval", "out/checkpoints/step-6"}), 1);
  expect_refused({"eval", "whole", "model.width=32"},
                 "command line: model.width=32: expected 16, with which the checkpoint was trained; an evaluation may "
                 "change data.path, data.threads, data.prefetch, train.threads, train.device, "
                 "train.graph, train.recompute");
}

TEST_F(ResumeTest, ASignalStopsAfterACheckpointAndNoBitTells) {
  const Words one = {CONVOY_PROGRAM, "train", "gpt.toml", "--run", "stopped", "train.steps=2000"};
  const Words two = {CONVOY_PROGRAM, "launch", "-n",    "2",        "--run",
                     "stopped",      "--",     "train", "gpt.toml", "train.steps=2000"};
  for (const Words& command : {one, two}) {
    SCOPED_TRACE(command[1]);
    std::filesystem::remove_all(run_.folder() / "stopped");
    run_.start(command);
    ASSERT_TRUE(run_.wait_until(
        [&] { return exists(run_.folder() / "stopped/metrics.jsonl") && loss_bits(run_, "stopped").size() > 3; },
        std::chrono::seconds(30)));
    kill(run_.with_variable("CONVOY_RANK=1").value_or(run_.pid()), SIGTERM);
    const auto exit = run_.wait_exit(std::chrono::seconds(30));
    ASSERT_EQ(exit, (ExitStatus{.exit_code = 75, .signal = 0})) << run_.errors();
    const auto steps = loss_bits(run_, "stopped").size();
    const std::string said = "convoy: stopped by SIGTERM after step " + std::to_string(steps) +
                             "; checkpoint stopped/checkpoints/step-" + std::to_string(steps) +
                             "; run `convoy resume stopped` to go on\n";
    EXPECT_NE(run_.errors().find(said), std::string::npos) << run_.errors();
    const std::string more = "train.steps=" + std::to_string(steps + 3);
    ASSERT_EQ(run_.run({"launch", "-n", "3", "--", "resume", "stopped", more}), 0) << run_.errors();
    std::filesystem::remove_all(run_.folder() / "expected");
    ASSERT_EQ(run_.run({"train", "gpt.toml", "--run", "expected", more}), 0) << run_.errors();
    expect_same_result(run_, "stopped", "expected");
  }
}

// An evaluation may take longer than a cluster waits.
TEST_F(ResumeTest, ASignalDoesNotWaitForAnEvaluation) {
  testing_support::write_text(run_.folder() / "long.txt", 4'000'000);
  const auto stop_in_evaluation = [&](Words command, std::int32_t step, bool saved, const std::string& said) {
    command.insert(command.begin(), CONVOY_PROGRAM);
    run_.start(command);
    const std::string log = "long/metrics.jsonl", checkpoint = "long/checkpoints/step-" + std::to_string(step);
    ASSERT_TRUE(run_.wait_until(
        [&] {
          return exists(run_.folder() / log) && loss_bits(run_, "long").size() == std::size_t(step) &&
                 details(run_, "long", "checkpoint").empty() != saved;
        },
        std::chrono::seconds(30)))
        << run_.errors();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    kill(run_.pid(), SIGTERM);
    const auto exit = run_.wait_exit(std::chrono::seconds(60));
    EXPECT_EQ(exit, (ExitStatus{.exit_code = 75, .signal = 0})) << run_.errors();
    EXPECT_NE(run_.errors().find("convoy: stopped by SIGTERM " + said), std::string::npos) << run_.errors();
    EXPECT_TRUE(exists(run_.folder() / checkpoint));
    EXPECT_TRUE(details(run_, "long", "eval").empty()) << "it was through: not what this tests";
  };
  const Words data = {"data.path=long.txt", "data.eval_fraction=0.9"};
  Words train = {"train", "gpt.toml", "--run", "long", "train.steps=2", "train.eval_every=1"};
  train.insert(train.end(), data.begin(), data.end());
  stop_in_evaluation(train, 1, false,
                     "after step 1; checkpoint long/checkpoints/step-1; run `convoy resume long` to go on");
  std::filesystem::remove_all(run_.folder() / "long");
  train.back() = "data.eval_fraction=0.9";
  train[4] = "train.steps=1";
  const std::string over = "after step 1, of which there is a checkpoint; run `convoy resume long` to go on";
  stop_in_evaluation(train, 1, true, over);
  train.insert(train.begin(), {"launch", "-n", "2", "--"});
  std::filesystem::remove_all(run_.folder() / "long");
  stop_in_evaluation(train, 1, true, over);
}

// With the tools of another framework, where they are installed.
TEST_F(ResumeTest, PythonReadsTheFiles) {
  const char* named = std::getenv("CONVOY_TEST_PYTHON");
  const std::string python = named != nullptr ? named : "/usr/bin/python3";
  if (run_.run_command({python, "-c", "import safetensors.numpy"}) != 0)
    GTEST_SKIP() << python << " has no safetensors";
  const std::string script =
      "import sys\n"
      "from safetensors.numpy import load_file\n"
      "p = load_file('out/checkpoints/step-6/parameters.safetensors')\n"
      "o = load_file('out/checkpoints/step-6/optimizer.safetensors')\n"
      "assert all(t.dtype == 'float32' for t in p.values())\n"
      "assert {m + n for m in ('m.', 'v.') for n in p} == set(o)\n"
      "assert all(o['v.' + n].shape == t.shape and (o['v.' + n] >= 0).all() for n, t in p.items())\n"
      "print(len(p), p['wte.weight'].shape)\n";
  ASSERT_EQ(run_.run_command({python, "-c", script}), 0) << run_.errors();
  EXPECT_NE(run_.output().find("(256, 16)"), std::string::npos) << run_.output();
}

}  // namespace
}  // namespace convoy
