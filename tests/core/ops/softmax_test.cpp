// bf16 logits: the loss is computed from them in f32, and only their gradient is rounded.
#include "core/ops/softmax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"

namespace convoy {
namespace {

class SoftmaxTest : public testing::Test {
 protected:
  struct Outcome {
    double sum, count;
    Tensor gradient;
  };

  Outcome loss_of(const Tensor& logits, const Tensor& targets) {
    Recorder recorder(device_, {});
    const Loss loss = cross_entropy(logits, targets);
    Outcome outcome{loss.sum.item(), loss.count.item(), Tensor()};
    const Tensor parameters[] = {logits};
    backward(loss.sum, parameters, [&](std::size_t, const Tensor& gradient) { outcome.gradient = gradient; });
    return outcome;
  }

  CpuDevice device_;
};

TEST_F(SoftmaxTest, TheLossOfHalfLogitsIsThatOfTheSameNumbersInSinglePrecision) {
  constexpr std::int64_t kRows = 9, kWidth = 2531;
  std::vector<bfloat16> half;
  std::vector<float> single;
  std::vector<std::int32_t> targets;
  for (std::int64_t i = 0; i < kRows * kWidth; ++i) {
    half.emplace_back(6 * std::sin(static_cast<double>(i) * 0.7) + 0.3);
    single.push_back(static_cast<float>(half.back()));
  }
  for (std::int64_t row = 0; row < kRows; ++row)
    targets.push_back(row == 4 ? -1 : static_cast<std::int32_t>(row * 281 % kWidth));
  const Tensor ids = Tensor::of<std::int32_t>(device_, {kRows}, targets);

  const Outcome rounded = loss_of(Tensor::of<bfloat16>(device_, {kRows, kWidth}, half), ids);
  const Outcome exact = loss_of(Tensor::of<float>(device_, {kRows, kWidth}, single), ids);

  EXPECT_EQ(rounded.sum, exact.sum);
  EXPECT_EQ(rounded.count, kRows - 1);
  ASSERT_EQ(rounded.gradient.dtype(), DType::kBF16);
  const std::vector<bfloat16> actual = rounded.gradient.to_vector<bfloat16>();
  const std::vector<float> expected = exact.gradient.to_vector<float>();
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_EQ(actual[i].bits(), bfloat16(expected[i]).bits()) << "element " << i;
}

TEST_F(SoftmaxTest, HalfPrecisionRoundsEachProbabilityOnce) {
  std::vector<bfloat16> half;
  std::vector<float> single;
  for (int i = 0; i < 300; ++i) {
    half.emplace_back(3 * std::cos(static_cast<double>(i)));
    single.push_back(static_cast<float>(half.back()));
  }
  const Recorder recorder(device_, {}, Recorder::Tape::kOff);
  const std::vector<bfloat16> actual = softmax(Tensor::of<bfloat16>(device_, {4, 75}, half)).to_vector<bfloat16>();
  const std::vector<float> expected = softmax(Tensor::of<float>(device_, {4, 75}, single)).to_vector<float>();
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_EQ(actual[i].bits(), bfloat16(expected[i]).bits()) << "element " << i;
}

TEST_F(SoftmaxTest, TheFirstOfEqualLogitsIsTheLargest) {
  const Recorder recorder(device_, {}, Recorder::Tape::kOff);
  constexpr std::int64_t kWidth = 70;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto correct = [&](const std::vector<float>& row, std::int32_t target) {
    const Tensor targets = Tensor::of<std::int32_t>(device_, {1}, std::vector<std::int32_t>{target});
    const Tensor logits = Tensor::of<float>(device_, {1, kWidth}, row);
    const double single = count_correct(logits, targets).item();
    EXPECT_EQ(count_correct(cast(logits, DType::kBF16), targets).item(), single);
    EXPECT_EQ(single, target == std::max_element(row.begin(), row.end()) - row.begin() ? 1 : 0);
    return single;
  };
  std::vector<float> row(kWidth, -1);
  row[20] = row[40] = row[69] = 2;
  EXPECT_EQ(correct(row, 20), 1);
  EXPECT_EQ(correct(row, 40), 0);
  EXPECT_EQ(correct(row, 69), 0);
  EXPECT_EQ(correct(row, 21), 0);
  EXPECT_EQ(correct(row, -1), 0);
  row[69] = 3;
  EXPECT_EQ(correct(row, 69), 1);
  EXPECT_EQ(correct(row, 20), 0);
  row[30] = nan;
  EXPECT_EQ(correct(row, 69), 1);
  EXPECT_EQ(correct(row, 30), 0);
  row[0] = nan;
  EXPECT_EQ(correct(row, 69), 0);
  EXPECT_EQ(correct(row, 0), 1);
}

}  // namespace
}  // namespace convoy
