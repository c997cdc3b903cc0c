// bf16 activations beside f32 parameters: what f32 gives for the same numbers, activations and their gradients rounded.
#include "core/ops/norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"

namespace convoy {
namespace {

using Norm = std::function<Tensor(const Tensor& x, const Tensor& gamma, const Tensor& beta)>;

class NormTest : public testing::Test {
 protected:
  static constexpr std::int64_t kRows = 131, kWidth = 77;

  struct Outcome {
    Tensor y;
    Tensors gradients;  // of x, gamma, beta; the last undefined where there is no beta
  };

  Tensor values(const Shape& shape, double phase) {
    std::vector<float> elements;
    for (std::int64_t i = 0; i < shape.elements(); ++i)
      elements.push_back(static_cast<float>(bfloat16(std::sin(static_cast<double>(i) * 0.37 + phase) + 0.5)));
    return Tensor::of<float>(device_, shape, elements);
  }

  Outcome run(const Norm& norm, DType dtype) {
    Recorder recorder(device_, {});
    const Tensor inputs[] = {cast(values({kRows, kWidth}, 0), dtype), values({kWidth}, 1), values({kWidth}, 2)};
    Outcome outcome{norm(inputs[0], inputs[1], inputs[2]), Tensors(3)};
    const Tensor weights = cast(values({kRows, kWidth}, 3), dtype);
    const Tensor loss = cast(sum(mul(outcome.y, weights), {0, 1}, false, DType::kF32), DType::kF64);
    backward(loss, inputs, [&](std::size_t i, const Tensor& gradient) { outcome.gradients[i] = gradient; });
    return outcome;
  }

  void expect_rounded_once(const Norm& norm) {
    const Outcome half = run(norm, DType::kBF16);
    const Outcome single = run(norm, DType::kF32);
    const Recorder recorder(device_, {}, Recorder::Tape::kOff);
    const auto rounded = [](const Tensor& x) { return cast(cast(x, DType::kBF16), DType::kF32).to_vector<float>(); };
    ASSERT_EQ(half.y.dtype(), DType::kBF16);
    EXPECT_EQ(rounded(half.y), rounded(single.y));
    ASSERT_EQ(half.gradients[0].dtype(), DType::kBF16);
    EXPECT_EQ(rounded(half.gradients[0]), rounded(single.gradients[0]));
    for (std::size_t i : {1U, 2U}) {
      if (!single.gradients[i].defined()) continue;
      ASSERT_EQ(half.gradients[i].dtype(), DType::kF32);
      EXPECT_EQ(half.gradients[i].to_vector<float>(), single.gradients[i].to_vector<float>());
    }
  }

  void expect_refused(const Norm& norm) {
    const Recorder recorder(device_, {}, Recorder::Tape::kOff);
    const Tensor x = cast(values({2, 3}, 0), DType::kBF16);
    const Tensor parameter = cast(values({3}, 0), DType::kBF16);
    EXPECT_THROW(norm(x, parameter, parameter), Error);
  }

  CpuDevice device_;
};

Tensor layer(const Tensor& x, const Tensor& gamma, const Tensor& beta) { return layer_norm(x, gamma, beta); }
Tensor rms(const Tensor& x, const Tensor& gamma, const Tensor&) { return rms_norm(x, gamma); }

TEST_F(NormTest, LayerNormOfHalfActivationsIsRoundedOnce) { expect_rounded_once(layer); }
TEST_F(NormTest, RmsNormOfHalfActivationsIsRoundedOnce) { expect_rounded_once(rms); }

TEST_F(NormTest, ParametersOfHalfPrecisionAreRefused) {
  expect_refused(layer);
  expect_refused(rms);
}

}  // namespace
}  // namespace convoy
