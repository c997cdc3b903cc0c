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

TEST_P(RecipesTest, TrainsAFewStepsOnDataOfItsKind) {
  ProgramRun run;
  run.write("recipe.toml", "");
  std::filesystem::copy_file(CONVOY_SOURCE_DIR "/recipes/" + GetParam() + ".toml", run.folder() / "recipe.toml",
                             std::filesystem::copy_options::overwrite_existing);
  const std::string text = run.read("recipe.toml");
  std::vector<std::string> words = {"launch", "-n", "2", "--run", "out", "--", "train", "recipe.toml"};
  words.insert(words.end(), {"train.steps=3", "train.eval_every=3", "train.global_batch=32"});
  if (text.find("kind = \"mnist\"") != std::string::npos) {
    testing_support::write_digits(run.folder() / "data", 100);
  } else if (text.find("kind = \"cifar\"") != std::string::npos) {
    testing_support::write_cifar10(run.folder() / "data", 100);
  } else {
    testing_support::write_text(run.folder() / "data", 8000);
    words.insert(words.end(), {"train.global_batch=8", "model.width=48", "model.layers=2"});
  }
  words.push_back("data.path=data");
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

}  // namespace
}  // namespace convoy
