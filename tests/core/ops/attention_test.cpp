#include "core/ops/attention.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <tuple>
#include <vector>

#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/ops/attention_kernels.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

template <typename T>
Tensor random_tensor(Device& device, const Shape& shape, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<T> values(static_cast<std::size_t>(shape.elements()));
  for (T& value : values) value = static_cast<T>(generator()) / static_cast<T>(1U << 31) * T{2} - T{2};
  return Tensor::of<T>(device, shape, values);
}

std::vector<std::uint32_t> bits(const Tensor& tensor) {
  std::vector<std::uint32_t> result;
  for (const float value : tensor.to_vector<float>()) result.push_back(std::bit_cast<std::uint32_t>(value));
  return result;
}

std::vector<double> naive(const Tensor& q, const Tensor& k, const Tensor& v, bool causal, double scale) {
  const Shape& shape = q.shape();
  const std::int64_t T = shape[1];
  const std::int64_t H = shape[2];
  const std::int64_t G = k.shape()[2];
  const std::int64_t D = shape[3];
  const auto qs = q.to_vector<double>();
  const auto ks = k.to_vector<double>();
  const auto vs = v.to_vector<double>();
  const auto at = [&](std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t d) {
    return static_cast<std::size_t>(((b * T + t) * H + h) * D + d);
  };
  const auto key_at = [&](std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t d) {
    return static_cast<std::size_t>(((b * T + t) * G + h / (H / G)) * D + d);
  };
  std::vector<double> out(qs.size(), 0.0);
  for (std::int64_t b = 0; b < shape[0]; ++b) {
    for (std::int64_t h = 0; h < H; ++h) {
      for (std::int64_t i = 0; i < T; ++i) {
        std::vector<double> weights;
        double total = 0;
        for (std::int64_t j = 0; j < (causal ? i + 1 : T); ++j) {
          double score = 0;
          for (std::int64_t d = 0; d < D; ++d) score += qs[at(b, i, h, d)] * ks[key_at(b, j, h, d)];
          weights.push_back(std::exp(score * scale));
          total += weights.back();
        }
        for (std::size_t j = 0; j < weights.size(); ++j) {
          for (std::int64_t d = 0; d < D; ++d)
            out[at(b, i, h, d)] += weights[j] / total * vs[key_at(b, static_cast<std::int64_t>(j), h, d)];
        }
      }
    }
  }
  return out;
}

// Times around the blocks, the tiles and a strip of blocks, depths around the vectors.
const Shape kShapes[] = {{1, 1, 1, 1},   {2, 3, 2, 5},    {1, 16, 1, 16},  {1, 37, 2, 8}, {1, 64, 1, 32},
                         {2, 65, 3, 20}, {1, 129, 1, 33}, {1, 330, 2, 64}, {0, 4, 2, 8},  {2, 0, 2, 8}};

TEST(AttentionTest, EqualsNaiveLoops) {
  CpuDevice device(2);
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  for (const Shape& shape : kShapes) {
    for (const bool causal : {true, false}) {
      const Tensor q = random_tensor<double>(device, shape, 1);
      const Tensor k = random_tensor<double>(device, shape, 2);
      const Tensor v = random_tensor<double>(device, shape, 3);
      const double scale = causal ? 1 / std::sqrt(static_cast<double>(shape[3])) : 0.3;
      const AttentionAttributes attributes{.causal = causal, .scale = causal ? 0 : scale};
      const std::vector<double> expected = naive(q, k, v, causal, scale);
      const Tensor wide = attention(q, k, v, attributes);
      ASSERT_EQ(wide.shape(), shape);
      const Tensor narrow = attention(cast(q, DType::kF32), cast(k, DType::kF32), cast(v, DType::kF32), attributes);
      const std::vector<double> in_f64 = wide.to_vector<double>();
      const std::vector<float> in_f32 = narrow.to_vector<float>();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(in_f64[i], expected[i], 1e-12) << shape.to_string() << " causal " << causal << " at " << i;
        ASSERT_NEAR(in_f32[i], expected[i], 2e-5) << shape.to_string() << " causal " << causal << " at " << i;
      }
    }
  }
}

// Of sum(factor · attention(q, k, v)): dq, dk, dv.
Tensors gradients_of(Device& device, const Tensors& qkv, const Tensor& factor, const AttentionAttributes& attributes) {
  const Recorder recorder(device, {});
  Tensors gradients(3);
  backward(sum(mul(attention(qkv[0], qkv[1], qkv[2], attributes), factor)), qkv,
           [&](std::size_t i, const Tensor& gradient) { gradients[i] = gradient; });
  return gradients;
}

TEST(AttentionTest, GradientsAreThoseOfDifferences) {
  CpuDevice device;
  for (const bool causal : {true, false}) {
    for (const Shape& shape : {Shape{1, 5, 1, 3}, Shape{1, 70, 2, 4}}) {
      const AttentionAttributes attributes{.causal = causal, .scale = 0.7};
      const Tensors qkv = {random_tensor<double>(device, shape, 1), random_tensor<double>(device, shape, 2),
                           random_tensor<double>(device, shape, 3)};
      const Tensor factor = random_tensor<double>(device, shape, 4);
      const Tensors gradients = gradients_of(device, qkv, factor, attributes);
      const Recorder recorder(device, {}, Recorder::Tape::kOff);
      for (std::size_t which = 0; which < 3; ++which) {
        const std::vector<double> gradient = gradients[which].to_vector<double>();
        for (std::size_t i = 0; i < gradient.size(); i += 7) {
          const auto loss = [&](double step) {
            Tensors moved = qkv;
            std::vector<double> values = qkv[which].to_vector<double>();
            values[i] += step;
            moved[which] = Tensor::of<double>(device, shape, values);
            return sum(mul(attention(moved[0], moved[1], moved[2], attributes), factor)).item();
          };
          constexpr double kStep = 1e-5;
          ASSERT_NEAR(gradient[i], (loss(kStep) - loss(-kStep)) / (2 * kStep), 1e-7) << which << " at " << i;
        }
      }
    }
  }
}

TEST(AttentionTest, GradientsInF32AreCloseToThoseInF64) {
  CpuDevice device;
  for (const Shape& shape : kShapes) {
    const Tensors wide = {random_tensor<double>(device, shape, 1), random_tensor<double>(device, shape, 2),
                          random_tensor<double>(device, shape, 3)};
    const Tensor factor = random_tensor<double>(device, shape, 4);
    Tensors narrow;
    Tensor narrow_factor;
    {
      const Recorder recorder(device, {}, Recorder::Tape::kOff);
      for (const Tensor& x : wide) narrow.push_back(cast(x, DType::kF32));
      narrow_factor = cast(factor, DType::kF32);
    }
    const Tensors expected = gradients_of(device, wide, factor, {});
    const Tensors actual = gradients_of(device, narrow, narrow_factor, {});
    for (std::size_t which = 0; which < 3; ++which) {
      const std::vector<double> left = expected[which].to_vector<double>();
      const std::vector<float> right = actual[which].to_vector<float>();
      for (std::size_t i = 0; i < left.size(); ++i) ASSERT_NEAR(right[i], left[i], 1e-4) << shape.to_string() << i;
    }
  }
}

TEST(AttentionTest, GroupsOfHeadsShareAKeyHead) {
  CpuDevice device(2);
  for (const auto& [heads, kv_heads, time] : {std::tuple{4, 2, 70}, {6, 1, 150}, {6, 2, 5}}) {
    SCOPED_TRACE(testing::Message() << heads << " heads, " << kv_heads << " key heads, " << time << " tokens");
    const Shape shape{2, time, heads, 12};
    const Shape key_shape{2, time, kv_heads, 12};
    const Tensors qkv = {random_tensor<double>(device, shape, 1), random_tensor<double>(device, key_shape, 2),
                         random_tensor<double>(device, key_shape, 3)};
    const Tensor factor = random_tensor<double>(device, shape, 4);
    // The same with every key head written out for each head it serves.
    const auto repeated = [&](const Tensor& x) {
      return reshape(broadcast_to(reshape(x, {2, time, kv_heads, 1, 12}), {2, time, kv_heads, heads / kv_heads, 12}),
                     shape);
    };
    Tensors expected(3);
    {
      const Recorder recorder(device, {});
      backward(sum(mul(attention(qkv[0], repeated(qkv[1]), repeated(qkv[2])), factor)), qkv,
               [&](std::size_t i, const Tensor& gradient) { expected[i] = gradient; });
    }
    const Tensors gradients = gradients_of(device, qkv, factor, {});
    for (std::size_t which = 0; which < 3; ++which) {
      const std::vector<double> left = gradients[which].to_vector<double>();
      const std::vector<double> right = expected[which].to_vector<double>();
      ASSERT_EQ(left.size(), right.size());
      for (std::size_t i = 0; i < left.size(); ++i) ASSERT_NEAR(left[i], right[i], 1e-12) << which << " at " << i;
    }
    const Recorder recorder(device, {}, Recorder::Tape::kOff);
    const std::vector<double> out = attention(qkv[0], qkv[1], qkv[2]).to_vector<double>();
    const std::vector<double> by_hand = naive(qkv[0], qkv[1], qkv[2], true, 1 / std::sqrt(12.0));
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], by_hand[i], 1e-12) << i;
  }
}

// Blocks are widened as they are packed and results rounded as they are stored: between the two lies what f32 computes.
TEST(AttentionTest, HalfPrecisionIsSinglePrecisionRoundedOnce) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Shape shape{2, 150, 4, 24};
  const Shape key_shape{2, 150, 2, 24};
  Tensors half;
  for (const Shape& each : {shape, key_shape, key_shape, shape, shape})
    half.push_back(cast(random_tensor<float>(device, each, static_cast<unsigned>(half.size())), DType::kBF16));
  const Tensor log_sums = add_scalar(random_tensor<float>(device, {2, 4, 150}, 9), 6.0);
  Tensors single;
  for (const Tensor& x : half) single.push_back(cast(x, DType::kF32));
  const auto rounded_bits = [](const Tensor& x) { return bits(cast(cast(x, DType::kBF16), DType::kF32)); };
  for (const bool causal : {true, false}) {
    const AttentionAttributes attributes{.causal = causal, .scale = 0.7};
    EXPECT_EQ(rounded_bits(attention(half[0], half[1], half[2], attributes)),
              rounded_bits(attention(single[0], single[1], single[2], attributes)));
    const Tensors gradients = attention_backward(half[0], half[1], half[2], half[3], log_sums, half[4], attributes);
    const Tensors expected =
        attention_backward(single[0], single[1], single[2], single[3], log_sums, single[4], attributes);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(gradients[i].dtype(), DType::kBF16);
      EXPECT_EQ(rounded_bits(gradients[i]), rounded_bits(expected[i])) << i;
    }
  }
}

// Scores of some hundreds: without the largest taken off they overflow in f32, and most probabilities are zero.
TEST(AttentionTest, LargeScoresNeitherOverflowNorVanish) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Shape shape{1, 200, 1, 5};
  const Tensor q = random_tensor<double>(device, shape, 1);
  const Tensor k = random_tensor<double>(device, shape, 2);
  const Tensor v = random_tensor<double>(device, shape, 3);
  const std::vector<double> expected = naive(q, k, v, true, 25.0);
  const auto narrow = [](const Tensor& x) { return cast(x, DType::kF32); };
  const std::vector<float> out =
      attention(narrow(q), narrow(k), narrow(v), {.causal = true, .scale = 25.0}).to_vector<float>();
  for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 1e-3) << i;
}

TEST(AttentionTest, WhatIsNotANumberStaysSo) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor q = random_tensor<float>(device, {1, 70, 1, 8}, 1);
  const Tensor k = random_tensor<float>(device, {1, 70, 1, 8}, 2);
  q.data<float>()[66 * 8] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> out = attention(q, k, k).to_vector<float>();
  for (std::size_t i = 0; i < out.size(); ++i) ASSERT_EQ(std::isnan(out[i]), i / 8 == 66) << i;
}

// Scores lie in blocks, so what a call needs to work in does not grow with the sequence, but for its queries, packed,
// and their gradients.
TEST(AttentionTest, ScratchHoldsNoScoresOfTheSequence) {
  const auto shape = [](std::int64_t time) { return AttentionShape{time, 64, 1, true, 1.0}; };
  EXPECT_EQ(attention_forward_scratch(shape(1 << 20)), attention_forward_scratch(shape(64)));
  EXPECT_LE(attention_backward_scratch(shape(1 << 20)),
            attention_backward_scratch(shape(64)) + (1 << 20) * (3 * 64 + 1));
}

// What the tape keeps for the gradient, and what both passes ask the device for.
TEST(AttentionTest, KeepsNothingOfTimeByTime) {
  constexpr std::int64_t kTime = 2048;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    CpuDevice device;
    const Tensor qkv = Tensor::zeros({dtype, {1, kTime, 3 * 8}, &device});
    const Recorder recorder(device, {});
    const Tensor out = self_attention(qkv, 1);
    ASSERT_EQ(recorder.tape().size(), 1U);
    const TapeNode& node = recorder.tape()[0];
    ASSERT_EQ(node.outputs.size(), 2U);
    EXPECT_EQ(node.inputs.size(), 1U);
    EXPECT_EQ(node.outputs[1].spec(), (Spec{DType::kF32, {1, 1, kTime}, &device}));
    backward(sum(cast(out, DType::kF64)), std::span(&qkv, 1), [](std::size_t, const Tensor&) {});
    EXPECT_LT(device.pool_statistics().bytes_held, kTime * kTime * 4 / 4);
  }
}

TEST(AttentionTest, SeesNoLaterKeys) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor q = random_tensor<float>(device, {1, 100, 2, 16}, 1);
  const Tensor k = random_tensor<float>(device, {1, 100, 2, 16}, 2);
  const Tensor v = random_tensor<float>(device, {1, 100, 2, 16}, 3);
  const auto first = [](const Tensor& x, std::int64_t n) { return slice(x, 1, 0, n); };
  for (const std::int64_t n : {1, 63, 64, 65, 99}) {
    EXPECT_EQ(bits(first(attention(q, k, v), n)), bits(attention(first(q, n), first(k, n), first(v, n)))) << n;
  }
}

TEST(AttentionTest, SameBitsForAnyNumberOfThreadsAndLayout) {
  const auto run = [](DType dtype, bool causal, int threads, bool packed) {
    CpuDevice device(threads);
    const Recorder recorder(device, {});
    const AttentionAttributes attributes{.causal = causal};
    const Tensor qkv = cast(random_tensor<float>(device, {3, 330, 4 * 20}, 1), dtype);  // 2 heads share 1 key head
    const Tensor factor = cast(random_tensor<float>(device, {3, 330, 40}, 2), dtype);
    Tensor out;
    if (packed) {
      out = self_attention(qkv, {2, 1}, attributes);
    } else {
      const Tensor q = reshape(slice(qkv, 2, 0, 40), {3, 330, 2, 20});
      const Tensor k = reshape(slice(qkv, 2, 40, 60), {3, 330, 1, 20});
      const Tensor v = reshape(slice(qkv, 2, 60, 80), {3, 330, 1, 20});
      out = reshape(attention(q, k, v, attributes), {3, 330, 40});
    }
    std::vector<std::uint32_t> result = bits(cast(out, DType::kF32));
    backward(sum(cast(mul(out, factor), DType::kF32)), std::span(&qkv, 1), [&](std::size_t, const Tensor& gradient) {
      const auto more = bits(cast(gradient, DType::kF32));
      result.insert(result.end(), more.begin(), more.end());
    });
    return result;
  };
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const bool causal : {true, false}) {
      SCOPED_TRACE(testing::Message() << name_of(dtype) << " causal " << causal);
      const auto expected = run(dtype, causal, 1, true);
      EXPECT_EQ(run(dtype, causal, 2, true), expected);
      EXPECT_EQ(run(dtype, causal, 5, true), expected);
      EXPECT_EQ(run(dtype, causal, 12, true), expected);  // more than there are key heads: in parts
      EXPECT_EQ(run(dtype, causal, 1, false), expected);
    }
  }
}

}  // namespace
}  // namespace convoy
