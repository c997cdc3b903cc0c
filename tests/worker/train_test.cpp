#include <gtest/gtest.h>

#include <string>

#include "core/base/error.h"
#include "tests/worker/small_run.h"
#include "worker/commands.h"

namespace convoy::worker {
namespace {

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

}  // namespace
}  // namespace convoy::worker
