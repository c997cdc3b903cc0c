#include "core/base/recipe_changes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/error.h"

namespace convoy {
namespace {

Recipe small() {
  Recipe recipe;
  recipe.model.kind = "mlp";
  recipe.model.hidden = {16};
  recipe.data.kind = "mnist";
  recipe.data.path = "/digits";
  recipe.optimizer.kind = "adamw";
  recipe.optimizer.lr = 0.5;
  recipe.train.steps = 20;
  recipe.train.global_batch = 8;
  return recipe;
}

std::vector<std::string> texts(const std::vector<RecipeChange>& changes) {
  std::vector<std::string> result;
  for (const RecipeChange& change : changes) result.push_back(change.to_string());
  return result;
}

TEST(RecipeChangesTest, AreNamedInTheOrderOfARecipe) {
  Recipe after = small();
  EXPECT_TRUE(recipe_changes(small(), after).empty());
  after.train.steps = 40;
  after.model.hidden = {16, 8};
  after.data.path = "/elsewhere";
  EXPECT_EQ(texts(recipe_changes(small(), after)),
            (std::vector<std::string>{"model.hidden = [16, 8] (was [16])",
                                      "data.path = \"/elsewhere\" (was \"/digits\")", "train.steps = 40 (was 20)"}));
}

TEST(RecipeChangesTest, AnotherKindHasOtherKeys) {
  Recipe after = small();
  after.model.kind = "gpt";
  after.model.layers = 2;
  const auto changes = texts(recipe_changes(small(), after));
  ASSERT_GE(changes.size(), 3U);
  EXPECT_EQ(changes[0], "model.kind = \"gpt\" (was \"mlp\")");
  EXPECT_NE(std::find(changes.begin(), changes.end(), "model.layers = 2 (was none)"), changes.end());
  EXPECT_NE(std::find(changes.begin(), changes.end(), "model.hidden = none (was [16])"), changes.end());
}

TEST(RecipeChangesTest, WhatLeavesTheStepsDoneAloneMayChange) {
  for (const char* key : {"train.steps", "train.threads", "data.path", "checkpoint.every", "fault.hang", "sync.engine"})
    EXPECT_TRUE(may_change_on_resume(key)) << key;
  for (const char* key : {"train.seed", "train.global_batch", "train.logical_shards", "train.precision", "model.width",
                          "data.kind", "data.eval_fraction", "optimizer.lr", "sync.order"})
    EXPECT_FALSE(may_change_on_resume(key)) << key;
}

TEST(RecipeChangesTest, TheFirstThatMayNotChangeIsRefusedByName) {
  Recipe after = small();
  after.train.steps = 40;
  after.optimizer.lr = 0.25;
  after.train.seed = 3;
  try {
    check_changes_on_resume(recipe_changes(small(), after), after, "out/recipe.toml");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_EQ(std::string(error.what()),
              "optimizer.lr: expected 0.5, with which the run was begun (out/recipe.toml): another value would change "
              "its numbers");
  }
  after.optimizer.lr = 0.5;
  after.train.seed = 0;
  check_changes_on_resume(recipe_changes(small(), after), after, "out/recipe.toml");
}

}  // namespace
}  // namespace convoy
