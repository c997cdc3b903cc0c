#include "core/nn/parameter.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "core/device/cpu_device.h"

namespace convoy {
namespace {

std::vector<float> initial_values(const std::string& name, std::int64_t elements, std::uint64_t seed,
                                  Initializer initializer) {
  CpuDevice device;
  const Parameter parameter(name, {elements}, initializer, ParameterGroup::kDecay);
  parameter.bind(Tensor::zeros({DType::kF32, {elements}, &device}));
  parameter.initialize(seed);
  return parameter.value().to_vector<float>();
}

TEST(ParameterTest, ScopesMakeDottedNames) {
  Parameters list;
  const ParameterScope root(list);
  const Parameter weight =
      (root / "h" / "0" / "attn").add("weight", {2}, Initializer::constant(0), ParameterGroup::kDecay);
  EXPECT_EQ(weight.name(), "h.0.attn.weight");
  ASSERT_EQ(list.size(), 1U);
  EXPECT_THROW((root / "h.0.attn").add("weight", {2}, Initializer::constant(0), ParameterGroup::kDecay), Error);
}

TEST(ParameterTest, ShapesThatCannotBeAreRefusedByName) {
  const auto refusal = [](const Shape& shape) -> std::string {
    Parameters list;
    try {
      (ParameterScope(list) / "lift").add("weight", shape, Initializer::constant(0), ParameterGroup::kDecay);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_TRUE(list.empty());
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal({2, -5}), "parameter lift.weight: expected extents of at least 1, found [2, -5]");
  EXPECT_EQ(refusal({0}), "parameter lift.weight: expected extents of at least 1, found [0]");
  constexpr std::int64_t kMany = 1'000'000'000;
  EXPECT_EQ(refusal({kMany, kMany}),
            "parameter lift.weight: expected at most 2^44 elements, found [1000000000, 1000000000]");
  EXPECT_NE(refusal({kMany, kMany, kMany, kMany}), "") << "also where the product overflows";
  EXPECT_NE(refusal({(std::int64_t{1} << 43) + 1, 2}), "");
  EXPECT_EQ(refusal({std::int64_t{1} << 43, 2}), "");
  EXPECT_EQ(refusal({}), "") << "a scalar has one element";
}

TEST(ParameterTest, ReadingAnUnboundParameterNamesIt) {
  const Parameter parameter("w", {2}, Initializer::constant(0), ParameterGroup::kDecay);
  try {
    parameter.value();
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("w"), std::string::npos);
  }
}

TEST(ParameterTest, NormalValuesHaveTheDeviationAskedFor) {
  const std::vector<float> values = initial_values("w", 100'003, 1, Initializer::normal(0.02));
  double sum = 0.0;
  double squares = 0.0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const auto n = static_cast<double>(values.size());
  EXPECT_NEAR(sum / n, 0.0, 0.0005);
  EXPECT_NEAR(std::sqrt(squares / n), 0.02, 0.0005);
}

TEST(ParameterTest, InitialValuesDependOnSeedAndNameOnly) {
  const Initializer normal = Initializer::normal(1.0);
  EXPECT_EQ(initial_values("w", 101, 1, normal), initial_values("w", 101, 1, normal));
  EXPECT_NE(initial_values("w", 101, 1, normal), initial_values("w", 101, 2, normal));
  EXPECT_NE(initial_values("w", 101, 1, normal), initial_values("v", 101, 1, normal));
}

}  // namespace
}  // namespace convoy
