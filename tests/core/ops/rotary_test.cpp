#include "core/ops/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/device/cpu_device.h"
#include "core/graph/recorder.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

Tensor counted(Device& device, const Shape& shape) {
  std::vector<double> values(static_cast<std::size_t>(shape.elements()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<double>(i));
  return Tensor::of<double>(device, shape, values);
}

TEST(RotaryTest, TurnsHalvesByTheirAngles) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor x = counted(device, {2, 7, 3, 10});
  const std::vector<double> before = x.to_vector<double>();
  const std::vector<double> after = rotary(x, 50.0).to_vector<double>();
  for (std::size_t row = 0; row < 2 * 7 * 3; ++row) {
    const auto time = static_cast<double>(row / 3 % 7);
    for (std::size_t i = 0; i < 5; ++i) {
      const double angle = time * std::pow(50.0, -2.0 * static_cast<double>(i) / 10.0);
      const double a = before[row * 10 + i];
      const double b = before[row * 10 + 5 + i];
      EXPECT_NEAR(after[row * 10 + i], a * std::cos(angle) - b * std::sin(angle), 1e-14);
      EXPECT_NEAR(after[row * 10 + 5 + i], b * std::cos(angle) + a * std::sin(angle), 1e-14);
    }
  }
}

// A table that was made for short texts serves long ones, and the other way round.
TEST(RotaryTest, AnglesDoNotDependOnWhatCameBefore) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor x = counted(device, {1, 40, 2, 8});
  rotary(slice(x, 1, 0, 3));
  const std::vector<double> longer = rotary(x).to_vector<double>();
  CpuDevice other;
  const Recorder other_recorder(other, {}, Recorder::Tape::kOff);
  const Tensor same = counted(other, {1, 40, 2, 8});
  EXPECT_EQ(longer, rotary(same).to_vector<double>());
  const std::vector<double> start = rotary(slice(same, 1, 0, 5)).to_vector<double>();
  EXPECT_TRUE(std::equal(start.begin(), start.end(), longer.begin()));
}

// What attention reads of positions is their distance.
TEST(RotaryTest, ProductsDependOnTheDistanceOnly) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor one = counted(device, {1, 1, 1, 8});
  const Tensor x = broadcast_to(one, {1, 20, 1, 8});
  const std::vector<double> turned = rotary(x).to_vector<double>();
  const auto product = [&](std::size_t s, std::size_t t) {
    double sum = 0;
    for (std::size_t i = 0; i < 8; ++i) sum += turned[s * 8 + i] * turned[t * 8 + i];
    return sum;
  };
  EXPECT_NEAR(product(3, 8), product(11, 16), 1e-12);
  EXPECT_GT(std::abs(product(3, 8) - product(3, 9)), 1e-3);
}

}  // namespace
}  // namespace convoy
