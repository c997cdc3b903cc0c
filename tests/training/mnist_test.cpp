// Narrow networks learn to read real handwriting: MNIST's 10,000 test digits, of which the last tenth is held out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/launched_run.h"

namespace convoy {
namespace {

// The share of the held-out digits that is read right after training `recipe` with two workers; nothing where there are
// no digits.
std::optional<double> trained_accuracy(const std::string& recipe, const std::vector<std::string>& overrides) {
  const std::filesystem::path digits = std::filesystem::path(CONVOY_REAL_DATA) / "mnist";
  if (!std::filesystem::exists(digits)) return std::nullopt;
  testing_support::LaunchedRun run("training");
  std::vector<std::string> command = {CONVOY_PROGRAM,
                                      "launch",
                                      "-n",
                                      "2",
                                      "--run",
                                      "run",
                                      "--",
                                      "train",
                                      fmt::format("{}/recipes/{}", CONVOY_SOURCE_DIR, recipe),
                                      "data.path=" + digits.string(),
                                      "train.eval_every=0"};
  command.insert(command.end(), overrides.begin(), overrides.end());
  run.start(command);
  const auto exit = run.wait_exit(std::chrono::seconds(240));
  EXPECT_TRUE(exit && exit->success()) << run.output() << run.errors();
  std::ifstream report(run.folder() / "run/final.json");
  if (!report) return 0.0;
  return nlohmann::json::parse(report).at("eval_accuracy").get<double>();
}

constexpr char kNoDigits[] = "there are no MNIST digits here (CMake: CONVOY_REAL_DATA)";

// It reads 97.9 %; with the seeds 2 to 4, 97.9 to 98.3 %.
TEST(MnistTrainingTest, ANarrowResidualNetworkReads97PercentOfTheDigits) {
  const auto accuracy = trained_accuracy("mnist-resnet.toml", {"model.width=8", "train.steps=250"});
  if (!accuracy) GTEST_SKIP() << kNoDigits;
  RecordProperty("accuracy", std::to_string(*accuracy));
  EXPECT_GE(*accuracy, 0.97);
}

}  // namespace
}  // namespace convoy
