#include "core/graph/plan_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"
#include "core/ops/random.h"
#include "core/ops/reduce.h"

namespace convoy {
namespace {

class PlanCacheTest : public testing::Test {
 protected:
  Tensor tensor(const Shape& shape, float start = 1.0F) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < shape.elements(); ++i) values.push_back(start + 0.25F * static_cast<float>(i));
    return Tensor::of<float>(device_, shape, values);
  }

  // results[number] = elements.
  static StepFunction::OnResult into(std::vector<std::vector<float>>& results) {
    return [&results](std::size_t result, const Tensor& value) {
      results.resize(std::max(results.size(), result + 1));
      results[result] = value.to_vector<float>();
    };
  }
  void run(PlanCache& cache, const Shape& shape) {
    cache.run(function_, {}, std::array{tensor(shape)}, [](std::size_t, const Tensor&) {});
  }

  CpuDevice device_;
  const Tensor weight_ = tensor({1}, 3.0F);
  int captures_ = 0;
  // Result 1 is there before result 0.
  StepFunction function_{.name = "sums",
                         .inputs = {"x"},
                         .declare = [this](Capture& capture) { capture.state("weight", weight_); },
                         .body =
                             [this](std::span<const Tensor> inputs, const StepFunction::Give& give) {
                               ++captures_;
                               const Tensor y = dropout(mul(inputs[0], weight_), 0.5);
                               give(1, "products", y);
                               give(0, "sum", sum(y));
                             }};
};

TEST_F(PlanCacheTest, ReplaysWhatRunsLineByLine) {
  PlanCache cache(device_, {.plan = {.poison = true}});
  for (const std::int64_t step : {1, 2, 3}) {
    const StepKey key{.seed = 9, .step = step};
    const std::array inputs{tensor({3, 5}, static_cast<float>(step))};
    std::vector<std::vector<float>> expected, actual;
    run_dynamic(function_, device_, key, inputs, into(expected));
    captures_ = 0;
    cache.run(function_, key, inputs, into(actual));
    EXPECT_EQ(captures_, step == 1 ? 1 : 0);
    ASSERT_EQ(actual.size(), 2U);
    EXPECT_EQ(actual, expected);
  }
  EXPECT_EQ(cache.plans().front().name, "sums");
}

TEST_F(PlanCacheTest, OtherInputsOrAttributesAreOtherPlans) {
  PlanCache cache(device_, {});
  run(cache, {4});
  run(cache, {5});
  run(cache, {4});
  EXPECT_EQ(captures_, 2);
  function_.attributes = "mode 2";
  run(cache, {4});
  EXPECT_EQ(captures_, 3);
  function_.name = "others";
  run(cache, {4});
  EXPECT_EQ(captures_, 4);
  EXPECT_EQ(cache.plans().size(), 4U);
}

TEST_F(PlanCacheTest, TheOneUnusedForLongestGoesFirst) {
  PlanCache cache(device_, {.capacity = 2});
  run(cache, {4});
  run(cache, {5});
  run(cache, {4});
  run(cache, {6});  // [5] goes
  EXPECT_EQ(cache.plans().size(), 2U);
  captures_ = 0;
  run(cache, {4});
  EXPECT_EQ(captures_, 0);
  run(cache, {5});
  EXPECT_EQ(captures_, 1);
}

TEST_F(PlanCacheTest, TheFifthRecaptureWarnsOnceWithWhatChanged) {
  std::vector<std::string> warnings;
  PlanCache cache(device_, {.warn = [&](const std::string& line) { warnings.push_back(line); }});
  for (std::int64_t n = 1; n <= 5; ++n) run(cache, {n, 7});
  EXPECT_TRUE(warnings.empty());
  run(cache, {5, 7});
  EXPECT_TRUE(warnings.empty()) << "it is there already";
  run(cache, {6, 7});
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(
      warnings[0],
      "sums: captured for the 6th time, and each time costs as much as several steps: inputs f32[5, 7] → f32[6, 7]");
  for (std::int64_t n = 7; n <= 20; ++n) run(cache, {n, 7});
  EXPECT_EQ(warnings.size(), 1U);

  PlanCache other(device_, {.capacity = 1, .warn = [&](const std::string& line) { warnings.push_back(line); }});
  for (int i = 1; i <= 6; ++i) {
    function_.attributes = "mode " + std::to_string(i);
    run(other, {2});
  }
  ASSERT_EQ(warnings.size(), 2U);
  EXPECT_TRUE(warnings[1].ends_with(": attributes mode 5 → mode 6")) << warnings[1];
}

// Whereas memory, in which another one lay, is used again.
TEST_F(PlanCacheTest, PlansHaveNumbersOfTheirOwn) {
  PlanCache cache(device_, {.capacity = 1});
  std::set<std::int64_t> numbers;
  for (const std::int64_t n : {4, 5, 4, 5}) {
    run(cache, {n});
    numbers.insert(cache.plans().front().number);
  }
  EXPECT_EQ(numbers.size(), 4U);
}

// A training step's memory is an evaluation's too.
TEST_F(PlanCacheTest, PlansShareTheirMemory) {
  PlanCache cache(device_, {});
  run(cache, {4000});
  const std::size_t before = device_.pool_statistics().bytes_in_use;
  run(cache, {3000});
  EXPECT_LT(device_.pool_statistics().bytes_in_use, before + 3000 * sizeof(float));
  run(cache, {8000});
  EXPECT_GE(device_.pool_statistics().bytes_in_use, before + 8000 * sizeof(float));
  std::vector<std::vector<float>> expected, actual;
  for (const std::int64_t n : {4000, 8000, 3000}) {
    run_dynamic(function_, device_, {}, std::array{tensor({n})}, into(expected));
    cache.run(function_, {}, std::array{tensor({n})}, into(actual));
    EXPECT_EQ(actual, expected) << n;
  }
}

TEST_F(PlanCacheTest, ResultsCanHavePlacesOfTheirOwn) {
  PlanCache cache(device_, {.plan = {.poison = true}});
  const std::array inputs{tensor({3, 5})};
  EXPECT_THROW(cache.run_placed(function_, {}, inputs, [](std::size_t, const Tensor&) {}), Error);
  const Tensor products = Tensor::zeros({DType::kF32, {3, 5}, &device_});
  cache.place_results(function_, std::array{inputs[0].spec()},
                      [&](std::size_t result) { return result == 1 ? products : Tensor(); });
  EXPECT_EQ(captures_, 1);
  std::vector<std::vector<float>> expected, actual;
  cache.run(function_, {}, inputs, into(expected));
  EXPECT_EQ(products.to_vector<float>(), std::vector<float>(15, 0.0F)) << "this is the other plan";
  cache.run_placed(function_, {}, inputs, into(actual));
  EXPECT_EQ(actual, expected);
  EXPECT_EQ(products.to_vector<float>(), expected[1]);
  EXPECT_EQ(captures_, 1);
  EXPECT_EQ(cache.plans().size(), 1U);
}

TEST_F(PlanCacheTest, AFailedCaptureLeavesNothing) {
  PlanCache cache(device_, {});
  const auto declare = std::exchange(function_.declare, [](Capture&) {});
  EXPECT_THROW(run(cache, {4}), std::exception);
  EXPECT_TRUE(cache.plans().empty());
  function_.declare = declare;
  run(cache, {4});
  EXPECT_EQ(cache.plans().size(), 1U);
}

}  // namespace
}  // namespace convoy
