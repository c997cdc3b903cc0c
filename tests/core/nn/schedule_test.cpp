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
  for (const char* schedule : {"constant", "linear", "cosine", "step"}) {
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

TEST(ScheduleTest, StepsFallAfterEveryStepEvery) {
  OptimizerRecipe steps = recipe("step");
  steps.step_every = 30;
  steps.gamma = 0.5;
  EXPECT_DOUBLE_EQ(learning_rate(steps, 5, 100), 0.5) << "warm-up";
  EXPECT_DOUBLE_EQ(learning_rate(steps, 30, 100), 1.0) << "the last of the first thirty";
  EXPECT_DOUBLE_EQ(learning_rate(steps, 31, 100), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(steps, 60, 100), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(steps, 100, 100), 0.125);
}

TEST(ScheduleTest, StepsFallAfterEachMilestone) {
  OptimizerRecipe steps = recipe("step");
  steps.milestones = {20, 21, 90};
  steps.gamma = 0.1;
  EXPECT_DOUBLE_EQ(learning_rate(steps, 20, 100), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(steps, 21, 100), 0.1);
  EXPECT_NEAR(learning_rate(steps, 22, 100), 0.01, 1e-15);
  EXPECT_NEAR(learning_rate(steps, 90, 100), 0.01, 1e-15);
  EXPECT_NEAR(learning_rate(steps, 91, 100), 0.001, 1e-15);
}

TEST(ScheduleTest, AMilestoneInTheWarmUpTakesEffectAtItsEnd) {
  OptimizerRecipe steps = recipe("step");
  steps.milestones = {4};
  EXPECT_DOUBLE_EQ(learning_rate(steps, 10, 100), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(steps, 11, 100), 0.1);
}

}  // namespace
}  // namespace convoy
