#include "core/graph/recorder.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise.h"
#include "core/ops/update.h"

namespace convoy {
namespace {

TEST(RecorderTest, OperatorsNeedOne) {
  CpuDevice device;
  const Tensor x = Tensor::zeros({DType::kF32, {2}, &device});
  try {
    neg(x);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("Recorder"), std::string::npos);
  }
}

TEST(RecorderTest, IsCurrentForItsThreadOnly) {
  CpuDevice device;
  const Recorder recorder(device, {});
  EXPECT_EQ(&Recorder::current(), &recorder);
  std::thread([] { EXPECT_THROW(Recorder::current(), Error); }).join();
}

TEST(RecorderTest, AddsUpWhatIsEmittedForOneState) {
  CpuDevice device;
  const Tensor a = Tensor::of<float>(device, {2}, std::vector<float>{1, 2});
  const Tensor b = Tensor::zeros({DType::kF32, {1}, &device});
  const Tensor one = Tensor::of<float>(device, {1}, std::vector<float>{1});
  Recorder recorder(device, {});
  recorder.emit(a, Tensor::of<float>(device, {2}, std::vector<float>{3, 4}));
  recorder.emit(b, one);
  recorder.emit(a, Tensor::of<float>(device, {2}, std::vector<float>{10, 20}));
  ASSERT_EQ(recorder.emissions().size(), 2U);
  EXPECT_EQ(recorder.emissions()[0].state.identity(), a.identity());
  EXPECT_EQ(recorder.emissions()[0].contribution.to_vector<float>(), (std::vector<float>{13, 24}));
  EXPECT_EQ(recorder.emissions()[1].contribution.to_vector<float>(), std::vector<float>{1});
  EXPECT_EQ(a.to_vector<float>(), (std::vector<float>{1, 2})) << "emitting writes no state";
  EXPECT_TRUE(recorder.tape().empty());
  EXPECT_THROW(recorder.emit(a, one), Error);
}

TEST(RecorderTest, RefusesTensorsOfAnotherDeviceAndUndefinedOnes) {
  CpuDevice device, other;
  const Recorder recorder(device, {});
  EXPECT_THROW(neg(Tensor::zeros({DType::kF32, {2}, &other})), Error);
  EXPECT_THROW(neg(Tensor()), Error);
}

TEST(RecorderTest, CountsRandomOrdinalsFromZero) {
  CpuDevice device;
  Recorder recorder(device, {});
  EXPECT_EQ(recorder.next_random_ordinal(), 0);
  EXPECT_EQ(recorder.next_random_ordinal(), 1);
}

TEST(RecorderTest, APauseEndsWithItsScope) {
  CpuDevice device;
  const Recorder recorder(device, {});
  const Tensor x = Tensor::zeros({DType::kF32, {2}, &device});
  {
    const TapePause pause;
    neg(x);
  }
  EXPECT_TRUE(recorder.tape().empty());
  neg(x);
  EXPECT_EQ(recorder.tape().size(), 1u);
}

TEST(RecorderTest, UpdatesWriteTheirStateAndLeaveNoTrace) {
  CpuDevice device;
  const Recorder recorder(device, {});
  const auto filled = [&](float value) { return Tensor::of<float>(device, {2}, std::vector<float>{value, value}); };
  const Tensor parameter = filled(1), m = filled(0), v = filled(0);
  const Tensor factors = Tensor::of<double>(device, {5}, std::vector<double>{0.5, 0.1, 0.001, 1, 1});
  adamw_update({}, parameter, m, v, filled(1), factors);
  EXPECT_NEAR(parameter.to_vector<float>()[1], 0.5, 1e-6);
  EXPECT_TRUE(recorder.tape().empty());
}

TEST(RegistryTest, MakesOperatorsWithoutAttributesOnly) {
  EXPECT_EQ(make_op("add")->name(), "add");
  EXPECT_THROW(make_op("scale"), Error);
  EXPECT_THROW(make_op("no such operator"), Error);
}

}  // namespace
}  // namespace convoy
