// Each of the project's recipes is understood as it stands, and trains on small data of its kind.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "tests/program/program_run.h"

namespace convoy {
namespace {

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(CONVOY_SOURCE_DIR "/recipes"))
    names.push_back(file.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

class RecipesTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Files, RecipesTest, testing::ValuesIn(recipe_names()),
                         [](const auto& name) { return std::regex_replace(name.param, std::regex("[^a-z0-9]"), "_"); });

// The recipe in the run's folder, and data of its kind; returns the words that train it on them.
std::vector<std::string> prepare(ProgramRun& run, const std::string& name, std::int32_t samples) {
  std::filesystem::copy_file(CONVOY_SOURCE_DIR "/recipes/" + name + ".toml", run.folder() / "recipe.toml");
  const std::string text = run.read("recipe.toml");
  if (text.find("kind = \"mnist\"") != std::string::npos) {
    testing_support::write_digits(run.folder() / "data", samples);
  } else if (text.find("kind = \"cifar\"") != std::string::npos) {
    testing_support::write_cifar10(run.folder() / "data", samples);
  } else {
    testing_support::write_text(run.folder() / "data", std::int64_t{80} * samples);
  }
  return {"train", "recipe.toml", "data.path=data"};
}

TEST_P(RecipesTest, TrainsAFewStepsOnDataOfItsKind) {
  ProgramRun run;
  std::vector<std::string> words = {"launch", "-n", "2", "--run", "out", "--"};
  const std::vector<std::string> train = prepare(run, GetParam(), 100);
  words.insert(words.end(), train.begin(), train.end());
  words.insert(words.end(), {"train.steps=3", "train.eval_every=3", "train.global_batch=32"});
  const std::string text = run.read("recipe.toml");
  if (text.find("kind = \"gpt\"") != std::string::npos)
    words.insert(words.end(), {"train.global_batch=8", "model.width=48", "model.layers=2"});
  if (text.find("kind = \"resnet\"") != std::string::npos) words.push_back("model.width=8");
  ASSERT_EQ(run.run(words), 0) << run.errors();

  std::istringstream metrics(run.read("out/metrics.jsonl"));
  std::set<double> losses;
  for (std::string line; std::getline(metrics, line);)
    losses.insert(nlohmann::json::parse(line).at("loss").get<double>());
  EXPECT_EQ(losses.size(), 3U) << "it learns";
  EXPECT_TRUE(std::isfinite(*losses.rbegin()));
  EXPECT_TRUE(nlohmann::json::parse(run.read("out/final.json")).at("eval_loss").is_number());
}

// As the recipe stands, in each precision: the plans' block of memory against the most bytes that are alive at once.
TEST_P(RecipesTest, PlansNeedHardlyMoreMemoryThanIsAliveAtOnce) {
  const auto bytes = [](const std::string& number, const std::string& prefix) {
    return std::stod(number) * std::pow(1e3, static_cast<double>(std::string("kMGT").find(prefix) + 1));
  };
  ProgramRun run;
  std::vector<std::string> words = prepare(run, GetParam(), 1000);
  words.emplace_back("--dry-run");
  for (const std::string precision : {"fp32", "bf16"}) {
    words.push_back("train.precision=" + precision);
    ASSERT_EQ(run.run(words), 0) << run.errors();
    const std::string text = run.output();
    std::smatch found;
    const std::regex line("values of plans +([0-9.]+) (.)B .*of which ([0-9.]+) (.)B");
    ASSERT_TRUE(std::regex_search(text, found, line)) << text;
    constexpr double kRounding = 1.005;  // of three digits
    EXPECT_LE(bytes(found[1], found[2]), 1.05 * kRounding * bytes(found[3], found[4])) << precision << "\n" << text;
  }
}

}  // namespace
}  // namespace convoy
