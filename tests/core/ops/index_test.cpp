// Rows of an f32 table looked up as bf16.
#include "core/ops/index.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"

namespace convoy {
namespace {

class EmbeddingTest : public testing::Test {
 protected:
  EmbeddingTest() {
    std::vector<float> values;
    for (int i = 0; i < 7 * 37; ++i) values.push_back(std::sin(static_cast<float>(i)));
    table_ = Tensor::of<float>(device_, {7, 37}, values);
    ids_ = Tensor::of<std::int32_t>(device_, {2, 3}, std::vector<std::int32_t>{5, 0, 5, 6, 5, 2});
  }

  CpuDevice device_;
  Tensor table_, ids_;
};

TEST_F(EmbeddingTest, RowsOfAMasterAreRoundedAsTheyAreCopied) {
  const Recorder recorder(device_, {}, Recorder::Tape::kOff);
  const Tensor rows = embedding(table_, ids_, DType::kBF16);
  ASSERT_EQ(rows.spec(), (Spec{DType::kBF16, {2, 3, 37}, &device_}));
  const std::vector<float> exact = embedding(table_, ids_).to_vector<float>();
  const std::vector<bfloat16> rounded = rows.to_vector<bfloat16>();
  for (std::size_t i = 0; i < exact.size(); ++i) ASSERT_EQ(rounded[i].bits(), bfloat16(exact[i]).bits()) << i;
}

TEST_F(EmbeddingTest, GradientsOfHalfRowsAddUpInTheMastersPrecision) {
  Tensor gradient;
  Recorder recorder(device_, {});
  const Tensor rows = embedding(table_, ids_, DType::kBF16);
  const Tensor dy = mul(rows, rows);
  const Tensor parameters[] = {table_};
  // d/dx of x³/3 at the rounded rows, each gradient rounded to bf16 on its way.
  const Tensor loss = cast(sum(mul(dy, rows), {0, 1, 2}, false, DType::kF32), DType::kF64);
  backward(loss, parameters, [&](std::size_t, const Tensor& result) { gradient = result; });
  ASSERT_EQ(gradient.spec(), table_.spec());
  const std::vector<float> sums = gradient.to_vector<float>();
  const std::vector<float> table = table_.to_vector<float>();
  for (int column = 0; column < 37; ++column) {
    EXPECT_EQ(sums[3 * 37 + column], 0);
    const float x = static_cast<float>(bfloat16(table[5 * 37 + column]));
    EXPECT_NEAR(sums[5 * 37 + column], 9 * x * x, 0.1F);
  }
  const Tensor half = embedding_backward(ids_, dy, 7);
  EXPECT_EQ(half.to_vector<float>(), embedding_backward(ids_, cast(dy, DType::kF32), 7).to_vector<float>());
}

TEST_F(EmbeddingTest, OtherDtypesThanTheTablesOrHalfAreRefused) {
  const Recorder recorder(device_, {}, Recorder::Tape::kOff);
  EXPECT_THROW(embedding(table_, ids_, DType::kF64), Error);
  EXPECT_THROW(embedding(table_, ids_, DType::kI32), Error);
}

}  // namespace
}  // namespace convoy
