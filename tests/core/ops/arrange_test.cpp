// Values of the operators that pick and join: what the table's gradients and layouts do not say.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/device/cpu_device.h"
#include "core/graph/recorder.h"
#include "core/ops/concat.h"
#include "core/ops/cumsum.h"
#include "core/ops/elementwise.h"
#include "core/ops/gather.h"
#include "core/ops/scatter.h"
#include "core/ops/top_k.h"

namespace convoy {
namespace {

class ArrangeTest : public testing::Test {
 protected:
  Tensor floats(const Shape& shape, const std::vector<float>& values) {
    return Tensor::of<float>(device_, shape, values);
  }
  Tensor integers(const Shape& shape, const std::vector<std::int32_t>& values) {
    return Tensor::of<std::int32_t>(device_, shape, values);
  }

  CpuDevice device_;
  Recorder recorder_{device_, {}, Recorder::Tape::kOff};
};

TEST_F(ArrangeTest, SplitUndoesConcat) {
  const Tensor a = floats({2, 1}, {1, 2});
  const Tensor b = floats({2, 2}, {3, 4, 5, 6});
  const Tensor whole = concat({a, b}, 1);
  EXPECT_EQ(whole.to_vector<float>(), (std::vector<float>{1, 3, 4, 2, 5, 6}));
  const Tensors pieces = split(whole, 1, {1, 2});
  EXPECT_EQ(pieces[0].to_vector<float>(), a.to_vector<float>());
  EXPECT_EQ(pieces[1].to_vector<float>(), b.to_vector<float>());
}

TEST_F(ArrangeTest, GatherAndScatterAddFollowTheIndex) {
  const Tensor index = integers({2, 3}, {2, 0, 2, 1, 1, 1});
  EXPECT_EQ(gather(floats({2, 3}, {1, 2, 3, 4, 5, 6}), 1, index).to_vector<float>(),
            (std::vector<float>{3, 1, 3, 5, 5, 5}));
  EXPECT_EQ(scatter_add(index, floats({2, 3}, {1, 2, 3, 4, 5, 6}), 1, 4).to_vector<float>(),
            (std::vector<float>{2, 0, 4, 0, 0, 15, 0, 0}));
  EXPECT_EQ(scatter_add(index, floats({2, 3}, {1, 2, 3, 4, 5, 6}), 0, 3).to_vector<float>(),
            (std::vector<float>{0, 2, 0, 4, 5, 6, 1, 0, 3}));
}

TEST_F(ArrangeTest, ScatterKeepsTheLastOfSeveral) {
  const Tensor index = integers({2, 3}, {2, 0, 2, 1, 1, 1});
  const Tensor values = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(scatter(floats({2, 4}, {9, 8, 7, 6, 5, 4, 3, 2}), 1, index, values).to_vector<float>(),
            (std::vector<float>{2, 8, 3, 6, 5, 6, 3, 2}));
  EXPECT_EQ(scatter(floats({3, 3}, {9, 8, 7, 6, 5, 4, 3, 2, 1}), 0, index, values).to_vector<float>(),
            (std::vector<float>{9, 2, 7, 4, 5, 6, 1, 2, 3}));
}

// Rows picked whole, of which there are some, take another way than those picked element by element.
TEST_F(ArrangeTest, WideRowsArePickedByTheirOwnIndices) {
  constexpr std::int64_t kFrom = 7, kTo = 9, kWidth = 300;
  std::vector<float> x, values, picked(kTo * kWidth), sums(kFrom * kWidth, 0.0F), last;
  std::vector<std::int32_t> index;
  for (int i = 0; i < kFrom * kWidth; ++i) x.push_back(static_cast<float>(i % 251));
  for (int i = 0; i < kTo * kWidth; ++i) {
    const int row = i / kWidth;
    index.push_back(row % 3 == 0 ? row % kFrom : i * 5 % kFrom);
    values.push_back(static_cast<float>(i % 17));
  }
  last = x;
  for (std::size_t i = 0; i < index.size(); ++i) {
    const std::size_t place = static_cast<std::size_t>(index[i]) * kWidth + i % kWidth;
    picked[i] = x[place];
    sums[place] += values[i];
    last[place] = values[i];
  }
  const Tensor places = integers({kTo, kWidth}, index);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor y = gather(cast(floats({kFrom, kWidth}, x), dtype), 0, places);
    EXPECT_EQ(cast(y, DType::kF32).to_vector<float>(), picked) << name_of(dtype);
    const Tensor total = scatter_add(places, cast(floats({kTo, kWidth}, values), dtype), 0, kFrom);
    EXPECT_EQ(cast(total, DType::kF32).to_vector<float>(), sums) << name_of(dtype);
    const Tensor over =
        scatter(cast(floats({kFrom, kWidth}, x), dtype), 0, places, cast(floats({kTo, kWidth}, values), dtype));
    EXPECT_EQ(cast(over, DType::kF32).to_vector<float>(), last) << name_of(dtype);
  }
}

TEST_F(ArrangeTest, TopKPutsTheLowerIndexFirstAmongEquals) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const TopK found = top_k(floats({2, 5}, {1, 3, 2, 3, 3, 5, nan, -1, 5, nan}), 4);
  EXPECT_EQ(found.indices.to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 3, 4, 2, 1, 4, 0, 3}));
  const std::vector<float> values = found.values.to_vector<float>();
  EXPECT_EQ(values[3], 2);
  EXPECT_TRUE(std::isnan(values[4]) && std::isnan(values[5]));
  EXPECT_EQ(values[6], 5);
}

// Few are found in one pass, many by sorting.
TEST_F(ArrangeTest, TopKFindsTheSameForAnyK) {
  std::vector<float> values;
  for (int i = 0; i < 3 * 500; ++i)
    values.push_back(i % 83 == 9 ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(i * 37 % 101));
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16}) {
    const Tensor x = cast(floats({3, 500}, values), dtype);
    const std::vector<std::int32_t> all = top_k(x, 500).indices.to_vector<std::int32_t>();
    for (const std::int64_t k : {1, 5, 64, 65}) {
      const std::vector<std::int32_t> found = top_k(x, k).indices.to_vector<std::int32_t>();
      for (std::int64_t i = 0; i < 3 * k; ++i)
        ASSERT_EQ(found[static_cast<std::size_t>(i)], all[static_cast<std::size_t>(i / k * 500 + i % k)])
            << name_of(dtype) << ", k = " << k << ", element " << i;
    }
  }
}

TEST_F(ArrangeTest, SumsOfHalfPrecisionAreRoundedOnce) {
  const Tensor many = cast(floats({400}, std::vector<float>(400, 1.0F)), DType::kBF16);
  const Tensor one_place = integers({400}, std::vector<std::int32_t>(400, 0));
  EXPECT_EQ(static_cast<float>(scatter_add(one_place, many, 0, 1).to_vector<bfloat16>()[0]), 400);
  EXPECT_EQ(static_cast<float>(cumsum(many, 0).to_vector<bfloat16>()[399]), 400);
}

TEST_F(ArrangeTest, CumsumRunsEitherWayWithOrWithoutTheElement) {
  const Tensor x = floats({4}, {1, 2, 4, 8});
  const auto run = [&](bool exclusive, bool reverse) { return cumsum(x, 0, {exclusive, reverse}).to_vector<float>(); };
  EXPECT_EQ(run(false, false), (std::vector<float>{1, 3, 7, 15}));
  EXPECT_EQ(run(true, false), (std::vector<float>{0, 1, 3, 7}));
  EXPECT_EQ(run(false, true), (std::vector<float>{15, 14, 12, 8}));
  EXPECT_EQ(run(true, true), (std::vector<float>{14, 12, 8, 0}));
}

}  // namespace
}  // namespace convoy
