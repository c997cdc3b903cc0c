#include "core/ops/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/apply.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul_kernels.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "core/tensor/derived_forms.h"

namespace convoy {
namespace {

template <typename T>
std::vector<T> noise(std::int64_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<T> values(static_cast<std::size_t>(n));
  for (T& value : values) value = static_cast<T>(generator()) / static_cast<T>(1U << 31) - T{1};
  return values;
}

Tensor cast_outside(const Tensor& x) {
  const Recorder recorder(x.device(), {}, Recorder::Tape::kOff);
  return cast(x, DType::kBF16);
}

template <typename T>
Tensor random_tensor(Device& device, const Shape& shape, unsigned seed) {
  return Tensor::of<T>(device, shape, noise<T>(shape.elements(), seed));
}

std::vector<std::uint32_t> bits(const Tensor& tensor) {
  std::vector<std::uint32_t> result;
  for (const float value : tensor.to_vector<float>()) result.push_back(std::bit_cast<std::uint32_t>(value));
  return result;
}

// Row-major [m, k]·[k, n], operands transposed in memory as told, in double.
std::vector<double> naive(const MatmulProblem& p, const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> c(static_cast<std::size_t>(p.batch * p.m * p.n));
  for (std::int64_t batch = 0; batch < p.batch; ++batch) {
    for (std::int64_t i = 0; i < p.m; ++i) {
      for (std::int64_t j = 0; j < p.n; ++j) {
        double sum = 0;
        for (std::int64_t k = 0; k < p.k; ++k) {
          const std::int64_t left = batch * p.m * p.k + (p.transpose_a ? k * p.m + i : i * p.k + k);
          const std::int64_t right = batch * p.k * p.n + (p.transpose_b ? j * p.k + k : k * p.n + j);
          sum += a[static_cast<std::size_t>(left)] * b[static_cast<std::size_t>(right)];
        }
        c[static_cast<std::size_t>((batch * p.m + i) * p.n + j)] = sum;
      }
    }
  }
  return c;
}

struct Sizes {
  std::int64_t batch, m, n, k;
};
// Among them vectors, single elements, nothing at all, odd sizes, and inner dimensions that are cut.
constexpr Sizes kSizes[] = {{1, 3, 5, 7},    {1, 1, 9, 17},     {1, 9, 1, 17},   {2, 16, 32, 8},  {3, 13, 6, 1},
                            {1, 0, 4, 4},    {1, 4, 0, 4},      {2, 4, 4, 0},    {1, 1, 1, 1},    {0, 2, 2, 2},
                            {1, 40, 33, 64}, {1, 128, 1024, 9}, {1, 5, 6, 2047}, {1, 5, 6, 2048}, {2, 3, 4, 4100}};

template <typename T>
void compare_with_naive(double tolerance) {
  CpuDevice device(2);
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  for (const Sizes& size : kSizes) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      const MatmulProblem p{.batch = size.batch,
                            .m = size.m,
                            .n = size.n,
                            .k = size.k,
                            .transpose_a = (transposes & 1) != 0,
                            .transpose_b = (transposes & 2) != 0};
      const Tensor a = random_tensor<T>(device, p.transpose_a ? Shape{p.batch, p.k, p.m} : Shape{p.batch, p.m, p.k}, 1);
      const Tensor b = random_tensor<T>(device, p.transpose_b ? Shape{p.batch, p.n, p.k} : Shape{p.batch, p.k, p.n}, 2);
      const Tensor c = matmul(a, b, p.transpose_a, p.transpose_b);
      ASSERT_EQ(c.shape(), (Shape{p.batch, p.m, p.n}));
      const std::vector<T> as = a.to_vector<T>();
      const std::vector<T> bs = b.to_vector<T>();
      const std::vector<double> expected = naive(p, {as.begin(), as.end()}, {bs.begin(), bs.end()});
      const std::vector<T> actual = c.to_vector<T>();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(actual[i], expected[i], tolerance * std::sqrt(1.0 + static_cast<double>(p.k)))
            << p.batch << "x" << p.m << "x" << p.n << "x" << p.k << " transposes " << transposes << " element " << i;
      }
    }
  }
}

TEST(MatmulTest, EqualsNaiveLoopsInF32) { compare_with_naive<float>(1e-6); }
TEST(MatmulTest, EqualsNaiveLoopsInF64) { compare_with_naive<double>(1e-15); }

TEST(MatmulTest, LeadingDimensionsCountAsRowsOfOneMatrix) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor a = random_tensor<float>(device, {2, 3, 4, 5}, 1);
  const Tensor b = random_tensor<float>(device, {5, 6}, 2);
  const Tensor c = matmul(a, b);
  EXPECT_EQ(c.shape(), (Shape{2, 3, 4, 6}));
  EXPECT_EQ(bits(c), bits(matmul(reshape(a, {24, 5}), b)));
  EXPECT_THROW(matmul(a, b, true, false), Error);
}

TEST(MatmulTest, RefusesShapesThatDoNotMultiply) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor a = random_tensor<float>(device, {2, 3, 4}, 1);
  try {
    matmul(a, random_tensor<float>(device, {2, 5, 4}, 2));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("matmul: got f32[2, 3, 4], f32[2, 5, 4]"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(matmul(a, random_tensor<float>(device, {3, 4, 4}, 2)), Error);
  EXPECT_THROW(matmul(a, random_tensor<double>(device, {2, 4, 4}, 2)), Error);
}

void expect_same_bits(std::span<const Sizes> shapes, std::initializer_list<int> thread_counts) {
  const auto product = [](int threads, const Sizes& s, bool ta, bool tb) {
    CpuDevice device(threads);
    const Recorder recorder(device, {}, Recorder::Tape::kOff);
    const Tensor a = random_tensor<float>(device, ta ? Shape{s.batch, s.k, s.m} : Shape{s.batch, s.m, s.k}, 1);
    const Tensor b = random_tensor<float>(device, tb ? Shape{s.batch, s.n, s.k} : Shape{s.batch, s.k, s.n}, 2);
    return bits(matmul(a, b, ta, tb));
  };
  for (const Sizes& s : shapes) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        const auto one = product(1, s, ta, tb);
        for (const int threads : thread_counts) {
          EXPECT_TRUE(product(threads, s, ta, tb) == one)
              << threads << " threads: " << s.batch << " times [" << s.m << ", " << s.k << "]·[" << s.k << ", " << s.n
              << "], transposed " << ta << tb;
        }
      }
    }
  }
}

// Shapes with few rows and columns and long sums among them: there oneDNN by itself splits the sum over the threads.
TEST(MatmulTest, SameBitsForAnyNumberOfThreads) {
  constexpr Sizes kShapes[] = {{1, 64, 1, 2048},  {1, 100, 10, 3072}, {1, 16, 64, 8192},  {1, 1, 64, 1999},
                               {1, 64, 48, 1536}, {6, 33, 65, 300},   {5, 64, 20, 2048},  {1, 130, 1536, 70},
                               {4, 7, 9, 4096},   {1, 300, 128, 128}, {1, 100, 192, 384}, {1, 100, 192, 1900}};
  expect_same_bits(kShapes, {2, 3, 7});
}

// Pieces of such sums are split too, from two threads on or only among many: they must not be cut.
TEST(MatmulTest, SameBitsForManyThreadsWhereSumsAreLong) {
  constexpr Sizes kShapes[] = {{1, 1, 11, 2314},  {1, 35, 57, 2396}, {1, 8, 200, 4036},
                               {7, 49, 20, 3006}, {1, 75, 1, 2911},  {1, 600, 40, 2100}};
  expect_same_bits(kShapes, {2, 16, 40});
}

// What runs as sgemm, up to where it may no longer; sgemm by itself would split longer sums of fewer columns.
TEST(MatmulTest, SameBitsForManyThreadsWhereOperandsArePacked) {
  constexpr Sizes kShapes[] = {{1, 64, 80, 383}, {1, 260, 300, 384}, {1, 384, 400, 1024}, {1, 65, 300, 1900}};
  expect_same_bits(kShapes, {2, 7, 16});
}

TEST(MatmulTest, SameBitsWhereverOperandsLie) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor a = random_tensor<float>(device, {8 * 33 + 3}, 1);
  const Tensor b = random_tensor<float>(device, {33 * 7 + 1}, 2);
  const auto at = [](const Tensor& x, std::int64_t begin, const Shape& shape) {
    return reshape(slice(x, 0, begin, begin + shape.elements()), shape);
  };
  const auto copy = [&](const Tensor& x) { return Tensor::of<float>(device, x.shape(), x.to_vector<float>()); };
  const Tensor left = at(a, 3, {8, 33});
  const Tensor right = at(b, 1, {33, 7});
  EXPECT_EQ(bits(matmul(left, right)), bits(matmul(copy(left), copy(right))));
  EXPECT_EQ(bits(matmul(transpose(left, 0, 1), transpose(left, 0, 1), true)),
            bits(matmul(copy(transpose(left, 0, 1)), copy(transpose(left, 0, 1)), true)));
}

TEST(MatmulTest, PreparesEachKindOfProductOnce) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor a = random_tensor<float>(device, {8, 16}, 1);
  const Tensor b = random_tensor<float>(device, {16, 4}, 2);
  EXPECT_EQ(prepared_matmuls(device), 0U);
  for (int i = 0; i < 3; ++i) matmul(a, b);
  EXPECT_EQ(prepared_matmuls(device), 1U);
  for (int i = 0; i < 3; ++i) matmul(a, a, false, true);
  EXPECT_EQ(prepared_matmuls(device), 2U);
  for (int i = 0; i < 3; ++i) linear(a, b, {}, Activation::kRelu);
  EXPECT_EQ(prepared_matmuls(device), 3U);
  for (int i = 0; i < 3; ++i) linear(a, b, {}, Activation::kGelu);  // the same product
  EXPECT_EQ(prepared_matmuls(device), 3U);
}

// The rows of c = aᵀ·b that many columns of a make, by themselves.
TEST(MatmulTest, AWideTransposedOperandGoesInStrips) {
  std::optional<std::vector<std::uint32_t>> expected;
  for (const int threads : {1, 2}) {
    CpuDevice device(threads);
    const Recorder recorder(device, {}, Recorder::Tape::kOff);
    const Tensor a = random_tensor<float>(device, {70, 2048 * 4 + 5}, 1);
    const Tensor b = random_tensor<float>(device, {70, 24}, 2);
    const Tensor c = matmul(a, b, true);
    for (const std::int64_t first : {std::int64_t{0}, std::int64_t{2048}}) {
      const Tensor columns = contiguous(slice(a, 1, first, first + 2048));
      EXPECT_EQ(bits(contiguous(slice(c, 0, first, first + 2048))), bits(matmul(columns, b, true)));
    }
    const Tensor last = contiguous(slice(a, 1, 2048 * 4, 2048 * 4 + 5));
    EXPECT_EQ(bits(contiguous(slice(c, 0, 2048 * 4, 2048 * 4 + 5))), bits(matmul(last, b, true)));
    if (!expected) expected = bits(c);
    EXPECT_EQ(bits(c), *expected);
  }
}

TEST(LinearTest, EqualsItsPartsInBothPrecisions) {
  CpuDevice device;
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const auto check = [&]<typename T>(T, double tolerance) {
    for (const Sizes& s : {Sizes{2, 3, 6, 0}, {2, 3, 6, 9}, {2, 3, 6, 2500}, {2, 33, 300, 130}}) {
      const Tensor x = random_tensor<T>(device, {s.batch, s.m, s.k}, 1);
      const Tensor weight = random_tensor<T>(device, {s.k, s.n}, 2);
      const Tensor bias = random_tensor<T>(device, {s.n}, 3);
      const Tensor z = add(matmul(x, weight), bias);
      const auto near = [&](const Tensor& actual, const Tensor& expected) {
        ASSERT_EQ(actual.spec(), expected.spec());
        const std::vector<T> left = actual.to_vector<T>();
        const std::vector<T> right = expected.to_vector<T>();
        for (std::size_t i = 0; i < left.size(); ++i) ASSERT_NEAR(left[i], right[i], tolerance) << i;
      };
      near(linear(x, weight, {}), matmul(x, weight));
      near(linear(x, weight, bias), z);
      near(linear(x, weight, bias, Activation::kRelu), relu(z));
      near(linear(x, weight, bias, Activation::kGelu), gelu(z));
    }
  };
  check(float{}, 2e-4);
  check(double{}, 1e-12);
}

TEST(LinearTest, GeluHasTheBitsOfTheOperator) {
  CpuDevice device(2);
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor x = random_tensor<float>(device, {70, 33}, 1);
  const Tensor weight = random_tensor<float>(device, {33, 501}, 2);
  const Tensor bias = random_tensor<float>(device, {501}, 3);
  EXPECT_EQ(bits(linear(x, weight, bias, Activation::kGelu)), bits(gelu(linear(x, weight, bias))));
}

TEST(LinearTest, GradientsAreProducts) {
  CpuDevice device;
  const Recorder recorder(device, {});
  const Tensor x = random_tensor<float>(device, {2, 3, 4}, 1);
  const Tensor weight = random_tensor<float>(device, {4, 5}, 2);
  const Tensor bias = random_tensor<float>(device, {5}, 3);
  const Tensor factor = random_tensor<float>(device, {2, 3, 5}, 4);
  const Tensor loss = sum(mul(linear(x, weight, bias), factor));
  const Tensors parameters = {x, weight, bias};
  Tensors gradients(3);
  backward(loss, parameters, [&](std::size_t i, const Tensor& gradient) { gradients[i] = gradient; });
  const Tensor dy = reshape(factor, {6, 5});
  EXPECT_EQ(bits(gradients[0]), bits(reshape(matmul(dy, weight, false, true), {2, 3, 4})));
  EXPECT_EQ(bits(gradients[1]), bits(matmul(reshape(x, {6, 4}), dy, true)));
  EXPECT_EQ(bits(gradients[2]), bits(sum(dy, {0})));
}

std::vector<std::uint32_t> any_bits(const Tensor& tensor) {
  if (tensor.dtype() != DType::kBF16) return bits(tensor);
  std::vector<std::uint32_t> result;
  for (const bfloat16 value : tensor.to_vector<bfloat16>()) result.push_back(value.bits());
  return result;
}

// x·weight + bias and all gradients, from a sum weighted by dy.
Tensors half_layer(Device& device, const Sizes& size, Activation activation) {
  Recorder recorder(device, {});
  const Tensor x = cast(random_tensor<float>(device, {size.m, size.k}, 1), DType::kBF16);
  const Tensor weight = random_tensor<float>(device, {size.k, size.n}, 2);
  const Tensor bias = random_tensor<float>(device, {size.n}, 3);
  const Tensor dy = cast(random_tensor<float>(device, {size.m, size.n}, 4), DType::kBF16);
  const Tensor y = linear(x, weight, bias, activation);
  Tensors results = {y};
  backward(sum(mul(y, dy)), Tensors{x, weight, bias},
           [&](std::size_t, const Tensor& gradient) { results.push_back(gradient); });
  return results;
}

TEST(HalfMatmulTest, BitsDependOnTheThreadsInNoDirection) {
  for (const Sizes& size :
       {Sizes{1, 130, 70, 500}, Sizes{1, 9, 40, 4200}, Sizes{1, 4200, 33, 65}, Sizes{1, 1, 1100, 800}}) {
    CpuDevice one(1);
    const Tensors expected = half_layer(one, size, Activation::kGelu);
    for (const int threads : {2, 3, 5}) {
      CpuDevice device(threads);
      const Tensors actual = half_layer(device, size, Activation::kGelu);
      for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(any_bits(actual[i]), any_bits(expected[i])) << i;
    }
  }
}

TEST(HalfMatmulTest, WeightGradientsAreNotRounded) {
  CpuDevice device;
  const Sizes size{1, 60, 20, 30};
  const Tensors results = half_layer(device, size, Activation::kNone);
  const auto doubles = [&](const Shape& shape, unsigned seed) {
    const Recorder recorder(device, {}, Recorder::Tape::kOff);
    return cast(cast(random_tensor<float>(device, shape, seed), DType::kBF16), DType::kF64).to_vector<double>();
  };
  const MatmulProblem problem{.m = size.k, .n = size.n, .k = size.m, .transpose_a = true};
  const std::vector<double> expected = naive(problem, doubles({size.m, size.k}, 1), doubles({size.m, size.n}, 4));
  bool found = false;
  for (const Tensor& gradient : results) {
    if (gradient.shape() != Shape{size.k, size.n}) continue;
    found = true;
    const std::vector<float> actual = gradient.to_vector<float>();
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-5);
  }
  EXPECT_TRUE(found);
}

TEST(HalfMatmulTest, AMasterIsPreparedOncePerWriteAndForm) {
  CpuDevice device;
  const Tensor arena = Tensor::zeros({DType::kF32, {2 * 48 * 40}, &device});
  arena.make_state();
  const auto master = [&](std::int64_t offset) { return arena.view({{48, 40}, {40, 1}, offset}); };
  const Tensor x = cast_outside(random_tensor<float>(device, {50, 48}, 1));
  const auto check = [&](unsigned seed, std::uint64_t made) {
    Recorder recorder(device, {});
    copy_elements(random_tensor<float>(device, {2 * 48 * 40}, seed), arena);
    for (int repeat = 0; repeat < 3; ++repeat) {
      for (const std::int64_t offset : {0, 48 * 40}) {
        const Tensor weight = master(offset);
        const Tensor fresh = Tensor::empty(weight.spec());
        copy_elements(weight, fresh);
        EXPECT_EQ(any_bits(matmul(x, weight)), any_bits(matmul(x, fresh)));
        const Tensor y = matmul(x, weight);
        EXPECT_EQ(any_bits(matmul(y, weight, false, true)), any_bits(matmul(y, fresh, false, true)));
      }
    }
    EXPECT_EQ(arena.derived_forms()->made(), made);
  };
  check(7, 4);  // two weights in two forms
  check(8, 8);
  EXPECT_GT(device.pool_statistics().bytes_in_use, arena.spec().bytes() + 4 * 48 * 40 * sizeof(bfloat16));
}

}  // namespace
}  // namespace convoy
