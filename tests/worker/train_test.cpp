#include <gtest/gtest.h>

#include <string>

#include "core/base/error.h"
#include "tests/worker/small_run.h"
#include "worker/commands.h"

namespace convoy::worker {
namespace {

// A program's own, as large as it says.
class SizedData final : public Dataset {
 public:
  SizedData(std::int64_t train, std::int64_t held_out) : train_(train), held_out_(held_out) {}
  std::int64_t size(Split split) const override { return split == Split::kTrain ? train_ : held_out_; }
  SampleSpec input_spec() const override { return {.dtype = DType::kF32, .shape = {4}}; }
  SampleSpec target_spec() const override { return {.dtype = DType::kI32, .shape = {}}; }
  std::int64_t classes() const override { return 3; }

 private:
  void read_sample(Split, SampleId, void*, std::int32_t*) const override {}

  std::int64_t train_;
  std::int64_t held_out_;
};

std::string refusal(const Recipe& recipe, const Workload& workload = {}) {
  try {
    preflight(recipe, workload, 1, 1);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.what();
  }
  return "";
}

TEST(PreflightTest, SaysWhereTheKeyStandsThatIsWrong) {
  SmallRun run("mnist");
  run.recipe.origin.places = {{"model.kind", "gpt.toml:2: model.kind"}, {"data.path", "gpt.toml:5: data.path"}};
  EXPECT_EQ(refusal(run.recipe), "");
  run.recipe.model.kind = "gpt";
  EXPECT_TRUE(refusal(run.recipe).starts_with("gpt.toml:2: model.kind: \"gpt\" reads tokens")) << refusal(run.recipe);
  run.recipe.data.path = "/nowhere";
  EXPECT_TRUE(refusal(run.recipe).starts_with("gpt.toml:5: data.path: /nowhere")) << refusal(run.recipe);
}

TEST(PreflightTest, AModelThatNamesNoKeyIsNotTakenForTheData) {
  SmallRun run("mnist");
  run.recipe.model.hidden = {-5};
  EXPECT_EQ(refusal(run.recipe), "parameter layers.0.weight: expected extents of at least 1, found [784, -5]");
}

TEST(PreflightTest, DataSetsWithNothingToTrainOnAreRefused) {
  const SmallRun run("mnist");
  const auto of_sizes = [&](std::int64_t train, std::int64_t held_out) {
    Workload workload;
    workload.open_dataset = [=](const Recipe&) { return std::make_unique<SizedData>(train, held_out); };
    return refusal(run.recipe, workload);
  };
  EXPECT_EQ(of_sizes(1, 1), "");
  EXPECT_EQ(of_sizes(1, 0), "") << "nothing need be held out";
  EXPECT_EQ(of_sizes(0, 1), "the data set's size(Split::kTrain) is 0: expected at least 1");
  EXPECT_EQ(of_sizes(1, -1), "the data set's size(Split::kEval) is -1: expected at least 0");
}

}  // namespace
}  // namespace convoy::worker
