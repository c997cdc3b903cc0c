#include "core/ops/pool.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"

namespace convoy {
namespace {

// A sum of 65.7 that bf16 holds as 65.5: one rounded before it is divided would show.
TEST(GlobalAveragePoolTest, OfBf16IsRoundedOnce) {
  CpuDevice device;
  Recorder recorder(device, {});
  const auto odd = static_cast<bfloat16>(2.0F - 0x1p-7F);
  const Tensor x = Tensor::of<bfloat16>(device, {1, 11, 3, 2}, std::vector<bfloat16>(66, odd));
  const Tensor y = global_average_pool2d(x);
  ASSERT_EQ(y.spec().to_string(), "bf16[1, 2]");
  for (const bfloat16 mean : y.to_vector<bfloat16>()) EXPECT_EQ(mean.bits(), odd.bits());
  backward(sum(y), Tensors{x}, [&](std::size_t, const Tensor& gradient) {
    ASSERT_EQ(gradient.spec(), x.spec());
    for (const bfloat16 value : gradient.to_vector<bfloat16>())
      EXPECT_EQ(value.bits(), static_cast<bfloat16>(1.0 / 33).bits());
  });
}

}  // namespace
}  // namespace convoy
