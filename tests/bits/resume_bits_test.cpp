// Runs that are stopped at step 10 and gone on with by another number of workers, against a run that was never stopped:
// every bit of every step after.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/launched_run.h"
#include "tests/support/small_data.h"

namespace convoy {
namespace {

using testing_support::LaunchedRun;

constexpr int kSteps = 20;
constexpr int kStop = 10;

struct Case {
  std::string name;
  std::string recipe;  // in recipes/
  std::string precision;
  std::string engine;
  int before;  // workers; 0: `convoy train` without a launcher
  int after;
  std::vector<std::string> overrides = {};
};

const std::vector<Case> kCases = {
    {"Mlp1To3", "mnist-mlp.toml", "fp32", "auto", 1, 3},  //
    {"Mlp4To1", "mnist-mlp.toml", "fp32", "auto", 4, 1},
    {"Gpt0To2", "gpt-tiny.toml", "fp32", "auto", 0, 2},
    {"ResNet2To3", "mnist-resnet.toml", "fp32", "auto", 2, 3, {"model.width=4", "train.global_batch=32"}},
    {"Llama1To2", "llama-tiny.toml", "fp32", "auto", 1, 2},
    {"Gpt3To4", "gpt-tiny.toml", "fp32", "local", 3, 4},
    {"Gpt2To0", "gpt-tiny.toml", "fp32", "auto", 2, 0},
};

// What must not depend on where a run was stopped, nor on who went on with it.
struct Outcome {
  std::vector<std::string> loss_bits;
  std::string parameters_hash;
  std::string state_hash;
  nlohmann::json eval_loss;
  bool operator==(const Outcome&) const = default;
};

Outcome outcome_of(const std::filesystem::path& run) {
  Outcome outcome;
  std::ifstream metrics(run / "metrics.jsonl");
  for (std::string line; std::getline(metrics, line);)
    outcome.loss_bits.push_back(nlohmann::json::parse(line).at("loss_bits"));
  const auto final_report = nlohmann::json::parse(std::ifstream(run / "final.json"));
  outcome.parameters_hash = final_report.at("parameters_hash");
  outcome.state_hash = final_report.at("state_hash");
  outcome.eval_loss = final_report.at("eval_loss");
  return outcome;
}

class ResumeBitsTest : public ::testing::TestWithParam<Case> {
 protected:
  ResumeBitsTest() {
    testing_support::write_text(run_.folder() / "text.txt", 40'000);
    testing_support::write_digits(run_.folder() / "digits", 600);
  }

  void convoy(int workers, const std::vector<std::string>& words) {
    std::vector<std::string> command = {CONVOY_PROGRAM};
    if (workers > 0) command.insert(command.end(), {"launch", "-n", std::to_string(workers), "--"});
    command.insert(command.end(), words.begin(), words.end());
    run_.start(command);
    const auto exit = run_.wait_exit(std::chrono::seconds(120));
    ASSERT_TRUE(exit && exit->success()) << run_.output() << run_.errors();
  }
  void train(int workers, const std::string& folder) {
    const Case& test = GetParam();
    const std::string data = test.recipe.starts_with("mnist") ? "digits" : "text.txt";
    std::vector<std::string> words = {"train",
                                      fmt::format("{}/recipes/{}", CONVOY_SOURCE_DIR, test.recipe),
                                      "--run",
                                      folder,
                                      fmt::format("train.steps={}", kSteps),
                                      "data.path=" + data,
                                      "train.precision=" + test.precision,
                                      "sync.engine=" + test.engine,
                                      fmt::format("checkpoint.every={}", kStop),
                                      "train.eval_every=5"};
    words.insert(words.end(), test.overrides.begin(), test.overrides.end());
    convoy(workers, words);
  }

  LaunchedRun run_{"resume-bits"};
};

TEST_P(ResumeBitsTest, NoBitTellsWhereARunWasStopped) {
  train(GetParam().before, "run");
  const Outcome undisturbed = outcome_of(run_.folder() / "run");
  ASSERT_EQ(undisturbed.loss_bits.size(), static_cast<std::size_t>(kSteps));
  // As if it had been killed before its next checkpoint.
  std::filesystem::remove_all(run_.folder() / fmt::format("run/checkpoints/step-{}", kSteps));
  std::filesystem::remove(run_.folder() / "run/final.json");
  convoy(GetParam().after, {"resume", "run"});
  const Outcome resumed = outcome_of(run_.folder() / "run");
  EXPECT_EQ(resumed.loss_bits, undisturbed.loss_bits);
  EXPECT_EQ(resumed.parameters_hash, undisturbed.parameters_hash);
  EXPECT_EQ(resumed.state_hash, undisturbed.state_hash);
  EXPECT_EQ(resumed.eval_loss, undisturbed.eval_loss);
  std::ifstream metrics(run_.folder() / "run/metrics.jsonl");
  int step = 0;
  for (std::string line; std::getline(metrics, line);)
    EXPECT_EQ(nlohmann::json::parse(line).at("ballot"), ++step <= kStop ? "1.1" : "2.1");
}

INSTANTIATE_TEST_SUITE_P(Rows, ResumeBitsTest, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });
void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

}  // namespace
}  // namespace convoy
