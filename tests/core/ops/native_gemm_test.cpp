// On processors without bf16 instructions oneDNN emulates them: slowly, and with the same results.
#include "core/ops/native_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "core/tensor/tensor.h"
#include "tests/core/ops/native_bf16.h"

namespace convoy {
namespace {

constexpr bool kTransposed = true;

struct Case {
  std::int64_t m, n, k;
  bool transpose_a = false;
  bool transpose_b = false;
  bool master = false;  // b is f32
  bool prepared = false;
  Activation activation = Activation::kNone;
  DType dtype = DType::kBF16;
};

std::vector<float> noise(std::int64_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = static_cast<float>(generator()) / static_cast<float>(1U << 31) - 1.0F;
  return values;
}

std::vector<bfloat16> halves(const std::vector<float>& values) {
  std::vector<bfloat16> result;
  for (const float value : values) result.push_back(static_cast<bfloat16>(value));
  return result;
}

template <typename T>
std::vector<float> to_floats(const std::vector<T>& values) {
  std::vector<float> result;
  for (const T value : values) result.push_back(static_cast<float>(value));
  return result;
}

// y, then z.
template <typename Out>
std::vector<float> product(const Case& c, int threads, bool native) {
  CpuDevice device(threads);
  const std::vector<bfloat16> a = halves(noise(c.m * c.k, 1));
  const std::vector<float> master = noise(c.k * c.n, 2);
  const std::vector<bfloat16> b = halves(master);
  const std::vector<float> bias = noise(c.n, 3);
  const GemmOperand right{.data = c.master ? static_cast<const void*>(master.data()) : b.data(),
                          .dtype = c.master ? DType::kF32 : DType::kBF16,
                          .row = c.transpose_b ? 1 : c.n,
                          .column = c.transpose_b ? c.k : 1};
  std::vector<Out> y(static_cast<std::size_t>(c.m * c.n)), z(y.size());
  GemmProblem problem{.m = c.m,
                      .n = c.n,
                      .k = c.k,
                      .a = {a.data(), DType::kBF16, c.transpose_a ? 1 : c.k, c.transpose_a ? c.m : 1},
                      .b = right,
                      .bias = c.activation == Activation::kNone ? nullptr : bias.data(),
                      .activation = c.activation,
                      .dtype = c.dtype,
                      .y = y.data(),
                      .z = c.activation == Activation::kGelu ? z.data() : nullptr};
  PooledScratch scratch(device);
  if (!native || c.k == 0) {
    packed_gemm(device, problem, scratch.take<float>(packed_gemm_scratch(device, problem)));
  } else {
    if (c.prepared || c.master) {
      const NativeForm form(device, c.k, c.n, right);
      void* const memory = scratch.take(form.bytes());
      form.make(right.data, memory);
      problem.b.data = memory;
      problem.b_is_prepared = true;
    }
    NativeGemm(device, scratch, problem).run(problem);
  }
  y.insert(y.end(), z.begin(), z.end());
  return to_floats(y);
}

std::vector<float> product_of(const Case& c, int threads, bool native) {
  return c.dtype == DType::kBF16 ? product<bfloat16>(c, threads, native) : product<float>(c, threads, native);
}

// Several pieces down and across, single rows, odd sizes, nothing.
const Case kCases[] = {
    {.m = 300, .n = 1100, .k = 48, .master = true, .prepared = true, .activation = Activation::kGelu},
    {.m = 130, .n = 70, .k = 33, .transpose_b = kTransposed, .master = true, .prepared = true},
    {.m = 65, .n = 40, .k = 500, .master = true, .activation = Activation::kRelu},
    {.m = 1, .n = 1100, .k = 80, .master = true, .prepared = true, .activation = Activation::kRelu},
    {.m = 150, .n = 66, .k = 200, .transpose_a = kTransposed, .dtype = DType::kF32},
    {.m = 20, .n = 30, .k = 7, .transpose_a = kTransposed, .transpose_b = kTransposed},
    {.m = 9, .n = 5, .k = 0, .master = true, .activation = Activation::kRelu},
    {.m = 0, .n = 5, .k = 3},
};

class NativeGemmTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_native_bf16()) GTEST_SKIP() << "oneDNN has no bf16 here";
  }
};

TEST_F(NativeGemmTest, IsThePackedProduct) {
  for (const Case& c : kCases) {
    const std::vector<float> expected = product_of(c, 2, false);
    const std::vector<float> actual = product_of(c, 2, true);
    // Sums in another order, then one rounding.
    const double relative = c.dtype == DType::kF32 ? 1e-5 : 0x1p-6;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(actual[i], expected[i], relative * (std::abs(expected[i]) + 0.1))
          << c.m << "x" << c.n << "x" << c.k << " at " << i;
    }
  }
}

TEST_F(NativeGemmTest, BitsDoNotDependOnTheThreads) {
  for (const Case& c : kCases) {
    const std::vector<float> expected = product_of(c, 1, true);
    for (const int threads : {2, 3}) EXPECT_EQ(product_of(c, threads, true), expected) << c.m << "x" << c.n;
  }
}

TEST_F(NativeGemmTest, APreparedMasterHasTheBitsOfOneThatIsNot) {
  Case c = kCases[0];
  const std::vector<float> expected = product_of(c, 2, true);
  c.prepared = false;
  EXPECT_EQ(product_of(c, 2, true), expected);
}

}  // namespace
}  // namespace convoy
