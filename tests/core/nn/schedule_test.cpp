#include "core/nn/schedule.h"

#include <gtest/gtest.h>

namespace convoy {
namespace {

OptimizerRecipe recipe(const char* schedule) {
  OptimizerRecipe recipe;
  recipe.lr = 1.0;
  recipe.schedule = schedule;
  recipe.warmup_steps = 10;
  recipe.final_lr_fraction = 0.1;
  return recipe;
}

TEST(ScheduleTest, WarmUpRisesLinearlyToTheFullRate) {
  for (const char* schedule : {"constant", "linear", "cosine"}) {
    EXPECT_DOUBLE_EQ(learning_rate(recipe(schedule), 1, 100), 0.1);
    EXPECT_DOUBLE_EQ(learning_rate(recipe(schedule), 5, 100), 0.5);
    EXPECT_DOUBLE_EQ(learning_rate(recipe(schedule), 10, 100), 1.0);
  }
}

TEST(ScheduleTest, EndsAtTheFinalFraction) {
  EXPECT_DOUBLE_EQ(learning_rate(recipe("constant"), 100, 100), 1.0);
  EXPECT_NEAR(learning_rate(recipe("linear"), 100, 100), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate(recipe("cosine"), 100, 100), 0.1, 1e-12);
}

TEST(ScheduleTest, HalfWayIsTheMean) {
  EXPECT_NEAR(learning_rate(recipe("linear"), 55, 100), 0.55, 1e-12);
  EXPECT_NEAR(learning_rate(recipe("cosine"), 55, 100), 0.55, 1e-12);
}

TEST(ScheduleTest, WithoutWarmUpTheFirstStepHasAlmostTheFullRate) {
  OptimizerRecipe plain = recipe("constant");
  plain.warmup_steps = 0;
  EXPECT_DOUBLE_EQ(learning_rate(plain, 1, 100), 1.0);
}

}  // namespace
}  // namespace convoy
