#include "core/ops/conv.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/device/cpu_device.h"
#include "core/graph/recorder.h"
#include "core/ops/conv_kernels.h"
#include "core/ops/elementwise.h"
#include "core/tensor/derived_forms.h"
#include "tests/core/ops/native_bf16.h"

namespace convoy {
namespace {

struct Problem {
  std::string what;
  Shape x, weight;
  Conv2dAttributes attributes;
};

// One for each way that convolutions go: the turned weights for dx or oneDNN's own, its kernels for groups and for odd
// shapes, tap by tap.
std::vector<Problem> problems() {
  return {
      {"turned", {6, 14, 14, 32}, {32, 32, 3, 3}, {.padding = {1, 1}}},
      {"strided", {4, 15, 15, 32}, {48, 32, 3, 3}, {.stride = {2, 2}, .padding = {1, 1}}},
      {"tap by tap", {5, 4, 4, 128}, {130, 128, 3, 3}, {.padding = {1, 1}}},
      {"groups", {2, 4, 4, 4}, {6, 2, 3, 3}, {.padding = {1, 1}, .groups = 2}},
      {"a channel each", {2, 8, 8, 16}, {16, 1, 3, 3}, {.padding = {1, 1}, .groups = 16}},
      {"odd", {3, 5, 6, 3}, {5, 3, 3, 2}, {.stride = {3, 1}, .padding = {2, 0}, .dilation = {1, 2}}},
  };
}

Tensor random(Device& device, DType dtype, const Shape& shape, std::uint32_t stream) {
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 2.0F * uniform_float(philox({static_cast<std::uint32_t>(i), 0, 0, 0}, {stream, 9})[0]) - 1.0F;
  const Tensor x = Tensor::of<float>(device, shape, values);
  return dtype == DType::kF32 ? x : cast(x, dtype);
}

std::vector<std::uint32_t> bits(const Tensor& tensor) {
  std::vector<std::uint32_t> result;
  if (tensor.dtype() == DType::kBF16) {
    for (const bfloat16 value : tensor.to_vector<bfloat16>()) result.push_back(value.bits());
  } else {
    for (const float value : tensor.to_vector<float>()) result.push_back(std::bit_cast<std::uint32_t>(value));
  }
  return result;
}

Tensor copy_of(const Tensor& x) {
  const Tensor copy = Tensor::empty(x.spec());
  copy_elements(x, copy);
  return copy;
}

class ConvFormsTest : public testing::TestWithParam<DType> {};

TEST_P(ConvFormsTest, AWeightIsPreparedOncePerWriteAndForm) {
  for (const Problem& p : problems()) {
    SCOPED_TRACE(p.what);
    CpuDevice device(2);
    const Recorder recorder(device, {}, Recorder::Tape::kOff);
    const std::int64_t elements = p.weight.elements();
    // Two weights in one storage.
    const Tensor arena = Tensor::zeros({DType::kF32, {2 * elements}, &device});
    arena.make_state();
    const Tensor x = random(device, GetParam(), p.x, 1);
    const std::array<std::int64_t, 2> in{p.x[1], p.x[2]};
    std::uint64_t forms = 0;
    for (std::uint32_t write = 1; write <= 3; ++write) {
      copy_elements(random(device, DType::kF32, {2 * elements}, 10 + write), arena);
      for (int repeat = 0; repeat < 3; ++repeat) {
        for (const std::int64_t offset : {std::int64_t{0}, elements}) {
          Layout layout = Layout::contiguous(p.weight);
          layout.offset = offset;
          const Tensor weight = arena.view(layout);
          const Tensor fresh = copy_of(weight);
          const Tensor y = conv2d(x, weight, {}, p.attributes);
          EXPECT_EQ(bits(y), bits(conv2d(x, fresh, {}, p.attributes)));
          EXPECT_EQ(bits(conv2d_backward_data(y, weight, in, p.attributes)),
                    bits(conv2d_backward_data(y, fresh, in, p.attributes)));
        }
      }
      // Which form is read follows from the images as well.
      const Tensor larger = random(device, GetParam(), {1, p.x[1] + 9, p.x[2] + 8, p.x[3]}, 2);
      const Tensor first = arena.view(Layout::contiguous(p.weight));
      EXPECT_EQ(bits(conv2d(larger, first, {}, p.attributes)), bits(conv2d(larger, copy_of(first), {}, p.attributes)));
      if (write == 1) forms = arena.derived_forms()->made();
      EXPECT_EQ(arena.derived_forms()->made(), write * forms);
    }
    // One a direction of each weight at the most, and one for other images.
    EXPECT_GE(forms, 2U);
    EXPECT_LE(forms, 5U);
  }
}

INSTANTIATE_TEST_SUITE_P(Images, ConvFormsTest, testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& dtype) { return std::string(name_of(dtype.param)); });

// A problem's images and weights, and what the kernels make of them.
class Bf16Kernels {
 public:
  explicit Bf16Kernels(const Problem& p) : device_(2), recorder_(device_, {}, Recorder::Tape::kOff), p_(p) {
    x_ = random(device_, DType::kBF16, p.x, 1);
    weight_ = random(device_, DType::kF32, p.weight, 2);
    bias_ = random(device_, DType::kF32, {p.weight[0]}, 3);
    const Tensor y = conv2d(x_, weight_, {}, p.attributes);
    dy_ = random(device_, DType::kBF16, y.shape(), 4);
    problem_ = {.n = p.x[0],
                .c = p.x[3],
                .o = p.weight[0],
                .in = {p.x[1], p.x[2]},
                .out = {y.shape()[1], y.shape()[2]},
                .kernel = {p.weight[2], p.weight[3]},
                .stride = p.attributes.stride,
                .padding = p.attributes.padding,
                .dilation = p.attributes.dilation,
                .groups = p.attributes.groups};
  }

  // y, dx and dweight.
  Tensors run(bool native) {
    device_.set_native_bf16(native);
    const Tensors results = {Tensor::empty(dy_.spec()), Tensor::empty(x_.spec()), Tensor::empty(weight_.spec())};
    const ConvWeights weights{.data = weight_.data<float>()};
    const auto* x = x_.data<bfloat16>();
    const auto* dy = dy_.data<bfloat16>();
    PooledScratch scratch(device_);
    prepare_conv2d(device_, scratch, problem_, x, weights, bias_.data<float>(), results[0].data<bfloat16>())->run({});
    prepare_conv2d_backward_data(device_, scratch, problem_, dy, weights, results[1].data<bfloat16>())->run({});
    prepare_conv2d_backward_weights(device_, scratch, problem_, x, dy, results[2].data<float>())->run({});
    return results;
  }

  // The same of f32 images that hold the same numbers, and of the weights rounded to bf16.
  Tensors run_f32() {
    const Tensor x = cast(x_, DType::kF32);
    const Tensor dy = cast(dy_, DType::kF32);
    const Tensor weight = cast(cast(weight_, DType::kBF16), DType::kF32);
    return {conv2d(x, weight, bias_, p_.attributes),
            conv2d_backward_data(dy, weight, {p_.x[1], p_.x[2]}, p_.attributes),
            conv2d_backward_weights(x, dy, {p_.weight[2], p_.weight[3]}, p_.attributes)};
  }

 private:
  CpuDevice device_;
  Recorder recorder_;
  Problem p_;
  ConvProblem problem_;
  Tensor x_, weight_, bias_, dy_;
};

// Equal but for the order of fp32 sums and, where `rounded`, for one rounding to bf16.
void expect_near(const Tensor& actual, const Tensor& expected, bool rounded, const std::string& what) {
  const std::vector<double> a = cast(actual, DType::kF64).to_vector<double>();
  const std::vector<double> b = cast(expected, DType::kF64).to_vector<double>();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], 1e-4 + (rounded ? 0x1p-7 : 1e-5) * std::abs(b[i])) << what << ", element " << i;
}

TEST(Bf16ConvolutionTest, WidenedPiecesGiveTheNumbersOfRoundedWeights) {
  for (const Problem& p : problems()) {
    SCOPED_TRACE(p.what);
    Bf16Kernels kernels(p);
    const Tensors actual = kernels.run(false);
    const Tensors expected = kernels.run_f32();
    EXPECT_EQ(bits(actual[0]), bits(cast(expected[0], DType::kBF16)));
    EXPECT_EQ(bits(actual[1]), bits(cast(expected[1], DType::kBF16)));
    EXPECT_EQ(bits(actual[2]), bits(expected[2]));
  }
}

// oneDNN emulates bf16 where the processor has none.
TEST(Bf16ConvolutionTest, NativeKernelsAgreeWithWidenedPieces) {
  if (!has_native_bf16()) GTEST_SKIP() << "oneDNN has no bf16 here";
  for (const Problem& p : problems()) {
    SCOPED_TRACE(p.what);
    Bf16Kernels kernels(p);
    const Tensors native = kernels.run(true);
    const Tensors widened = kernels.run(false);
    for (std::size_t i = 0; i < 3; ++i) expect_near(native[i], widened[i], i < 2, "result " + std::to_string(i));
  }
}

TEST(Bf16ConvolutionTest, WeightsOfBf16AreRefused) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor x = random(device, DType::kBF16, {1, 4, 4, 2}, 1);
  try {
    conv2d(x, random(device, DType::kBF16, {3, 2, 3, 3}, 2), {});
    ADD_FAILURE() << "not refused";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("bf16 activations with f32 parameters"), std::string::npos);
  }
}

}  // namespace
}  // namespace convoy
