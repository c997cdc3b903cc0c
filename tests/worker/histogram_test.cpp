#include "worker/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/base/philox.h"

namespace convoy::worker {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Values of every size and sign.
std::vector<float> draw(std::size_t n) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = philox({static_cast<std::uint32_t>(i), 0, 0, 0}, {1, 2});
    const double size = std::exp(90.0 * uniform_float(bits[0]) - 50.0);
    values[i] = static_cast<float>((bits[1] & 1) != 0 ? size : -size);
  }
  return values;
}

TEST(HistogramTest, CountsEachValueBelowItsLimit) {
  std::vector<float> values = draw(20000);
  values.insert(values.end(), {0.0F, -0.0F, 1e-12F, -1e-12F, 1e-45F, -1e-45F, 3e38F, -3e38F, 1.0F, -1.0F});
  // Floats on either side of limits, where a bucket is easily missed.
  for (const double limit : histogram_limits()) {
    if (std::abs(limit) > 3e38) continue;
    const auto near = static_cast<float>(limit);
    values.insert(values.end(), {near, std::nextafter(near, kInfinity), std::nextafter(near, -kInfinity)});
  }
  std::map<double, double> expected;
  const std::vector<double>& limits = histogram_limits();
  for (const float value : values) expected[*std::upper_bound(limits.begin(), limits.end(), double{value})] += 1.0;

  const Histogram histogram = histogram_of(values, 1.0F, 1);
  std::map<double, double> actual;
  for (std::size_t i = 0; i < histogram.limits.size(); ++i) {
    if (histogram.counts[i] > 0) actual[histogram.limits[i]] = histogram.counts[i];
  }
  EXPECT_EQ(actual, expected);
  EXPECT_EQ(histogram.count, static_cast<double>(values.size()));
}

TEST(HistogramTest, SumsUp) {
  const std::vector<float> values = {1.0F, -2.0F, 4.0F};
  const Histogram histogram = histogram_of(values, 0.5F, 1);
  EXPECT_EQ(histogram.min, -1.0);
  EXPECT_EQ(histogram.max, 2.0);
  EXPECT_EQ(histogram.count, 3.0);
  EXPECT_EQ(histogram.sum, 1.5);
  EXPECT_EQ(histogram.sum_squares, 0.25 + 1.0 + 4.0);
}

TEST(HistogramTest, EmptyBucketsInARowAreOne) {
  const std::vector<float> values = {-1.0F, 1.0F, 1.0F};
  const Histogram histogram = histogram_of(values, 1.0F, 1);
  EXPECT_EQ(histogram.counts, (std::vector<double>{1, 0, 2}));
  ASSERT_EQ(histogram.limits.size(), 3U);
  EXPECT_GT(histogram.limits[0], -1.0);
  EXPECT_LE(histogram.limits[1], 1.0);
  EXPECT_GT(histogram.limits[2], 1.0);
}

TEST(HistogramTest, WhatIsNotFiniteIsLeftOut) {
  const std::vector<float> values = {kInfinity, 2.0F, std::numeric_limits<float>::quiet_NaN(), -kInfinity};
  const Histogram histogram = histogram_of(values, 1.0F, 1);
  EXPECT_EQ(histogram.count, 1.0);
  EXPECT_EQ(histogram.max, 2.0);
  EXPECT_EQ(histogram.counts, std::vector<double>{1.0});
  for (const Histogram& none : {histogram_of(std::span(values).first(1), 1.0F, 1), histogram_of({}, 1.0F, 1)}) {
    EXPECT_EQ(none.count, 0.0);
    EXPECT_TRUE(none.limits.empty());
  }
}

TEST(HistogramTest, ThreadsChangeNothing) {
  const std::vector<float> values = draw(300000);
  const Histogram one = histogram_of(values, 0.3F, 1);
  const Histogram three = histogram_of(values, 0.3F, 3);
  EXPECT_EQ(one.sum, three.sum);
  EXPECT_EQ(one.sum_squares, three.sum_squares);
  EXPECT_EQ(one.counts, three.counts);
  EXPECT_EQ(one.limits, three.limits);
}

}  // namespace
}  // namespace convoy::worker
