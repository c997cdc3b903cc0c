// What single operators promise beyond the table: special values, known results, orders of summation.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/index.h"
#include "core/ops/random.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"
#include "core/ops/update.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class KernelsTest : public testing::Test {
 protected:
  template <typename T>
  Tensor tensor(const Shape& shape, const std::vector<T>& values) {
    return Tensor::of<T>(device_, shape, values);
  }
  Tensor line(const std::vector<float>& values) {
    return tensor<float>({static_cast<std::int64_t>(values.size())}, values);
  }

  CpuDevice device_{2};
  Recorder recorder_{device_, {.seed = 5, .step = 7, .shard = 1}};
};

// The distance in units of the last place of the expected value.
template <typename T>
double ulps(T actual, T expected) {
  const T spacing = std::nextafter(std::abs(expected), std::numeric_limits<T>::infinity()) - std::abs(expected);
  return std::abs(static_cast<double>(actual) - static_cast<double>(expected)) / static_cast<double>(spacing);
}

template <typename T>
void expect_accurate(UnaryKind kind, T low, T high, long double (*exact)(long double), double most) {
  std::vector<T> x(4001), y(4001);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = low + (high - low) * static_cast<T>(i) / static_cast<T>(4000);
  unary_kernel(kind, x.data(), y.data(), 4001);
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, ulps(y[i], static_cast<T>(exact(static_cast<long double>(x[i])))));
  EXPECT_LE(worst, most) << "kind " << static_cast<int>(kind) << ", " << sizeof(T) * 8 << " bits";
}

TEST_F(KernelsTest, FunctionsAreAccurateToAFewUlps) {
  expect_accurate<float>(UnaryKind::kExp, -80, 88, std::exp, 2);
  expect_accurate<double>(UnaryKind::kExp, -700, 700, std::exp, 2);
  expect_accurate<float>(UnaryKind::kLog, 1e-6f, 100, std::log, 4);
  expect_accurate<double>(UnaryKind::kLog, 1e-6, 100, std::log, 4);
  expect_accurate<float>(UnaryKind::kTanh, -10, 10, std::tanh, 5);
  expect_accurate<double>(UnaryKind::kTanh, -10, 10, std::tanh, 5);
  const auto gelu_exact = [](long double x) {
    return x / (1 + std::exp(-2 * 0.797884560802865355879892L * (x + 0.044715L * x * x * x)));
  };
  expect_accurate<float>(UnaryKind::kGelu, -1, 5, gelu_exact, 4);
  expect_accurate<double>(UnaryKind::kGelu, -1, 5, gelu_exact, 4);
}

TEST_F(KernelsTest, VectorsConvertToBfloat16AsScalarsDo) {
  std::vector<float> x;
  for (std::uint32_t i = 0; i < 3001; ++i) x.push_back(std::bit_cast<float>(i * 1431655u + 77777u));
  for (const float value : {kInfinity, -kInfinity, kNan, 0.0f, -0.0f, 3.4e38f, 1e-40f}) x.push_back(value);
  x.push_back(std::bit_cast<float>(0x7F800001u));
  for (std::int64_t n = 0; n <= static_cast<std::int64_t>(x.size()); n += n < 70 ? 1 : 733) {
    std::vector<bfloat16> half(static_cast<std::size_t>(n) + 1, bfloat16(7));
    const float* const last = x.data() + x.size() - n;
    convert_kernel(last, half.data(), n);
    std::vector<float> wide(static_cast<std::size_t>(n) + 1, 7.0f);
    convert_kernel(half.data(), wide.data(), n);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_EQ(half[at].bits(), bfloat16(last[i]).bits()) << last[i];
      EXPECT_EQ(std::bit_cast<std::uint32_t>(wide[at]), std::uint32_t{half[at].bits()} << 16);
    }
    EXPECT_EQ(static_cast<float>(half.back()), 7.0f);  // nothing beyond the end is written
    EXPECT_EQ(wide.back(), 7.0f);
  }
}

TEST_F(KernelsTest, SpecialValuesPass) {
  EXPECT_EQ(exp(line({-kInfinity, -1e30f, 1e30f, kInfinity, 0})).to_vector<float>(),
            (std::vector<float>{0, 0, kInfinity, kInfinity, 1}));
  EXPECT_EQ(log(line({0, kInfinity, 1})).to_vector<float>(), (std::vector<float>{-kInfinity, kInfinity, 0}));
  EXPECT_TRUE(std::isnan(log(line({-1})).item()));
  EXPECT_EQ(tanh(line({-kInfinity, 1e30f})).to_vector<float>(), (std::vector<float>{-1, 1}));
  for (const auto function : {static_cast<Tensor (*)(const Tensor&)>(exp), static_cast<Tensor (*)(const Tensor&)>(log),
                              static_cast<Tensor (*)(const Tensor&)>(sqrt),
                              static_cast<Tensor (*)(const Tensor&)>(tanh), relu, gelu, square, neg})
    EXPECT_TRUE(std::isnan(function(line({kNan})).item()));
  EXPECT_TRUE(std::isnan(maximum(line({kNan}), line({1})).item()));
  EXPECT_TRUE(std::isnan(maximum(line({1}), line({kNan})).item()));
  EXPECT_TRUE(std::isnan(max(line({1, kNan, 2}), 0).item()));
  EXPECT_EQ(cast(line({kNan, 1e20f, -1e20f, -2.9f}), DType::kI32).to_vector<std::int32_t>(),
            (std::vector<std::int32_t>{0, 2147483647, -2147483647 - 1, -2}));
}

TEST_F(KernelsTest, GeluKernelHasTheOperatorsBitsHoweverCut) {
  std::vector<float> x(1003);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) * 0.01f - 5;
  std::vector<float> y(x.size());
  for (std::size_t i = 0; i < x.size(); i += 59)
    gelu_forward_kernel(&x[i], &y[i], static_cast<std::int64_t>(std::min<std::size_t>(59, x.size() - i)));
  EXPECT_EQ(gelu(line(x)).to_vector<float>(), y);
}

TEST_F(KernelsTest, LongSinglePrecisionSumsStayAccurate) {
  const std::vector<float> tenths(1000003, 0.1f);  // one running fp32 sum would be off by 1 %
  const double exact = 1000003 * static_cast<double>(0.1f);
  EXPECT_NEAR(sum(line(tenths)).item(), exact, 1e-6 * exact);
  EXPECT_NEAR(sum(tensor<float>({1000003, 1, 1}, tenths), {0}).item(), exact, 1e-6 * exact);
  EXPECT_NEAR(sum(broadcast_to(line({0.1f, 0.1f}), {1000003, 2}), {0}).to_vector<float>()[1], exact, 1e-6 * exact);
}

TEST_F(KernelsTest, GradientGoesToTheFirstMaximum) {
  const Tensor x = line({1, 3, 3, 2});
  std::vector<float> gradient;
  backward(max(x, 0), std::vector{x}, [&](std::size_t, const Tensor& g) { gradient = g.to_vector<float>(); });
  EXPECT_EQ(gradient, (std::vector<float>{0, 1, 0, 0}));
}

TEST_F(KernelsTest, CrossEntropyMatchesItsDefinition) {
  const Tensor logits = tensor<double>({3, 3}, {1, 2, 3, 0, 0, 0, 5, -5, 1});
  const Tensor targets = tensor<std::int32_t>({3}, {0, -1, 2});
  const Loss loss = cross_entropy(logits, targets);
  const auto row = [](double a, double b, double c, double target) {
    return std::log(std::exp(a) + std::exp(b) + std::exp(c)) - target;
  };
  EXPECT_NEAR(loss.sum.item(), row(1, 2, 3, 1) + row(5, -5, 1, 1), 1e-14);
  EXPECT_EQ(loss.count.item(), 2);
  std::vector<double> gradient;
  backward(loss.sum, std::vector{logits}, [&](std::size_t, const Tensor& g) { gradient = g.to_vector<double>(); });
  for (std::size_t i = 3; i < 6; ++i) EXPECT_EQ(gradient[i], 0);
}

TEST_F(KernelsTest, CrossEntropySurvivesHugeAndMaskedLogits) {
  std::vector<float> logits(3000, -kInfinity);
  logits[2500] = 1e4f;
  logits[2999] = 1e4f;
  const Loss loss = cross_entropy(tensor<float>({1, 3000}, logits), tensor<std::int32_t>({1}, {2500}));
  EXPECT_NEAR(loss.sum.item(), std::log(2.0), 1e-6);
  EXPECT_TRUE(std::isnan(cross_entropy(tensor<float>({1, 2}, {kNan, 1}), tensor<std::int32_t>({1}, {1})).sum.item()));
}

TEST_F(KernelsTest, AWrongTargetIsNamed) {
  try {
    cross_entropy(tensor<float>({1, 2}, {0, 0}), tensor<std::int32_t>({1}, {7}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cross_entropy: target 7 of row 0; expected -1 or one of 2 classes");
  }
}

TEST_F(KernelsTest, CorrectRowsAreThoseWhoseFirstMaximumIsTheTarget) {
  const Tensor logits = tensor<float>({4, 2}, {1, 1, 1, 1, 0, 2, 3, 0});
  EXPECT_EQ(count_correct(logits, tensor<std::int32_t>({4}, {0, 1, 1, -1})).item(), 2);
}

TEST_F(KernelsTest, EmbeddingGradientsAddInTokenOrder) {
  // Only in this order does the 1 survive.
  const Tensor dy = tensor<float>({3, 1}, {1e8f, -1e8f, 1});
  EXPECT_EQ(embedding_backward(tensor<std::int32_t>({3}, {1, 1, 1}), dy, 2).to_vector<float>(),
            (std::vector<float>{0, 1}));
}

TEST_F(KernelsTest, VectorPhiloxAgreesWithTheScalarOne) {
  constexpr std::uint64_t kFirst = (std::uint64_t{1} << 32) - 9;  // passes into the second counter word
  const PhiloxKey key = mix(1, 2, 3);
  std::vector<std::uint32_t> words(4 * 37);
  philox_words(key, kFirst, 37, words.data());
  for (std::uint64_t i = 0; i < 37; ++i) {
    const std::uint64_t block = kFirst + i;
    const auto four = philox({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), 0, 0}, key);
    for (std::size_t k = 0; k < 4; ++k) ASSERT_EQ(words[4 * i + k], four[k]) << "block " << i;
  }
}

TEST_F(KernelsTest, DropoutDrawsFromTheStepsKeyAndItsOrdinal) {
  const Tensor x = line(std::vector<float>(4096, 1.0f));
  const std::vector<float> first = dropout(x, 0.25).to_vector<float>();
  const PhiloxKey key = mix(5, 7, 1, 0);
  for (std::uint32_t i = 0; i < 4096; ++i) {
    const bool kept = philox({i / 4, 0, 0, 0}, key)[i % 4] >= 0x40000000;
    ASSERT_EQ(first[i], kept ? static_cast<float>(1 / 0.75) : 0.0f) << i;
  }
  EXPECT_NE(dropout(x, 0.25).to_vector<float>(), first);
  EXPECT_EQ(dropout(x, 0.0).identity(), x.identity());
  const Recorder again(device_, {.seed = 5, .step = 7, .shard = 1});
  EXPECT_EQ(dropout(x, 0.25).to_vector<float>(), first);
}

struct AdamWState {
  Tensor parameter, m, v;
};

TEST_F(KernelsTest, AdamWFollowsThePaper) {
  const AdamWAttributes attributes{.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1};
  const AdamWState state{tensor<double>({2}, {1.0, -2.0}), tensor<double>({2}, {0, 0}), tensor<double>({2}, {0, 0})};
  double p = 1.0, m = 0, v = 0;
  for (int t = 1; t <= 5; ++t) {
    const double lr = 0.01 * t, g = std::sin(t) * 0.5;
    const Tensor gradient = tensor<double>({2}, {std::sin(t), 0.0});
    adamw_update(attributes, state.parameter, state.m, state.v, gradient,
                 tensor<double>({5}, {lr, 1 - std::pow(0.9, t), 1 - std::pow(0.99, t), 0.5, 1.0}));
    m = 0.9 * m + 0.1 * g;
    v = 0.99 * v + 0.01 * g * g;
    p -= lr * 0.1 * p + lr * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.99, t))) + 1e-8);
    EXPECT_NEAR(state.parameter.to_vector<double>()[0], p, 1e-14);
  }
  EXPECT_NEAR(state.parameter.to_vector<double>()[1], -2.0 * 0.999 * 0.998 * 0.997 * 0.996 * 0.995, 1e-14);
}

TEST_F(KernelsTest, AdamWLeavesEverythingAloneWhenNotApplied) {
  const AdamWState state{line({1, kNan, -0.0f}), line({2, 3, 4}), line({5, 6, 7})};
  const Tensor factors = tensor<double>({5}, {0.1, 0.1, 0.1, std::nan(""), 0.0});
  adamw_update({}, state.parameter, state.m, state.v, line({kNan, 1, kInfinity}), factors);
  const std::vector<float> parameter = state.parameter.to_vector<float>();
  EXPECT_EQ(parameter[0], 1);
  EXPECT_TRUE(std::isnan(parameter[1]));
  EXPECT_TRUE(std::signbit(parameter[2]));
  EXPECT_EQ(state.m.to_vector<float>(), (std::vector<float>{2, 3, 4}));
  EXPECT_EQ(state.v.to_vector<float>(), (std::vector<float>{5, 6, 7}));
}

TEST_F(KernelsTest, ChunkSquaresKeepTheLanesOrder) {
  std::vector<float> x(2048);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 1);
  const std::vector<double> sums = chunk_squares(line(x)).to_vector<double>();
  for (std::size_t chunk = 0; chunk < 2; ++chunk) {
    double lanes[16] = {};
    for (std::size_t i = 0; i < 1024; ++i) {
      const double value = x[chunk * 1024 + i];
      lanes[i % 16] = std::fma(value, value, lanes[i % 16]);
    }
    for (std::size_t half = 8; half > 0; half /= 2) {
      for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    }
    EXPECT_EQ(sums[chunk], lanes[0]);
  }
  x[3] = kNan;
  x[1500] = -kInfinity;
  const std::vector<double> bad = chunk_squares(line(x)).to_vector<double>();
  EXPECT_TRUE(std::isnan(bad[0]));
  EXPECT_TRUE(std::isinf(bad[1]));
}

}  // namespace
}  // namespace convoy
