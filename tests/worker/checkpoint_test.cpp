#include "worker/checkpoint.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/io/safetensors.h"
#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

TEST(CheckpointTest, ReadsBackWhatWasWritten) {
  const SmallRun run("text");
  const auto replica = run.replica();
  replica->parameter(0).data<float>()[3] = 42.0F;
  write_checkpoint(run.folder(), 7, {1, 1}, run.recipe, *replica);

  const std::string checkpoint = find_checkpoint(run.folder());
  EXPECT_EQ(checkpoint, (run.folder() / "checkpoints/step-7").string());
  EXPECT_EQ(checkpoint_recipe(checkpoint).model.width, run.recipe.model.width);
  const auto other = run.replica();
  EXPECT_NE(other->parameters_hash(), replica->parameters_hash());
  read_parameters(checkpoint, *other);
  EXPECT_EQ(other->parameters_hash(), replica->parameters_hash());
}

TEST(CheckpointTest, HoldsParametersAndMomentsUnderTheirNames) {
  const SmallRun run("mnist");
  const auto replica = run.replica();
  write_checkpoint(run.folder(), 1, {1, 1}, run.recipe, *replica);
  const std::string checkpoint = find_checkpoint(run.folder());
  const SafetensorsFile parameters(checkpoint + "/parameters.safetensors");
  EXPECT_EQ(parameters.names().size(), 4U);
  EXPECT_EQ(parameters.spec("layers.0.weight").shape, (Shape{784, 16}));
  const SafetensorsFile optimizer(checkpoint + "/optimizer.safetensors");
  EXPECT_TRUE(optimizer.contains("m.layers.0.weight"));
  EXPECT_TRUE(optimizer.contains("v.layers.1.bias"));
  const auto manifest = nlohmann::json::parse(std::ifstream(checkpoint + "/manifest.json"));
  EXPECT_EQ(manifest.at("step"), 1);
  EXPECT_EQ(manifest.at("parameters_hash"), replica->parameters_hash());
  EXPECT_EQ(manifest.at("files").size(), 3U);
}

TEST(CheckpointTest, ADamagedFileIsNamed) {
  const SmallRun run("mnist");
  const auto replica = run.replica();
  const std::string checkpoint = write_checkpoint(run.folder(), 1, {1, 1}, run.recipe, *replica);
  {
    std::fstream file(checkpoint + "/parameters.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('x');
  }
  try {
    read_parameters(checkpoint, *replica);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDataLoss);
    EXPECT_NE(std::string(error.what()).find("parameters.safetensors"), std::string::npos);
  }
}

TEST(CheckpointTest, AFolderThatCannotBeWrittenIsNamed) {
  const SmallRun run("mnist");
  std::ofstream(run.folder() / "checkpoints") << "a file where the folder should be";
  const auto replica = run.replica();
  try {
    write_checkpoint(run.folder(), 1, {1, 1}, run.recipe, *replica);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  }
}

TEST(CheckpointTest, TheNewestIsFoundAndUnfinishedOnesAreNot) {
  const SmallRun run("mnist");
  const auto replica = run.replica();
  for (const std::int64_t step : {9, 10, 2}) write_checkpoint(run.folder(), step, {1, 1}, run.recipe, *replica);
  std::filesystem::create_directories(run.folder() / "checkpoints/.step-11.partial");
  EXPECT_EQ(find_checkpoint(run.folder()), (run.folder() / "checkpoints/step-10").string());
}

TEST(CheckpointTest, AFolderWithoutCheckpointsIsRefused) {
  const SmallRun run("mnist");
  try {
    find_checkpoint(run.folder());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_NE(std::string(error.what()).find(run.folder().string()), std::string::npos);
  }
}

}  // namespace
}  // namespace convoy::worker
