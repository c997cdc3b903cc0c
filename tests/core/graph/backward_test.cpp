#include "core/graph/backward.h"

#include <gtest/gtest.h>

#include <map>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/apply.h"
#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

class BackwardTest : public testing::Test {
 protected:
  Tensor tensor(const Shape& shape, const std::vector<double>& values) {
    return Tensor::of<double>(device_, shape, values);
  }
  std::map<std::size_t, std::vector<double>> gradients(const Tensor& loss, const Tensors& parameters) {
    std::map<std::size_t, std::vector<double>> result;
    backward(loss, parameters, [&](std::size_t i, const Tensor& gradient) {
      EXPECT_EQ(gradient.spec(), parameters[i].spec());
      EXPECT_TRUE(gradient.is_contiguous());
      EXPECT_TRUE(result.emplace(i, gradient.to_vector<double>()).second) << "reported twice";
    });
    return result;
  }

  CpuDevice device_;
  const Tensor x_ = tensor({2}, {3, 4});
  const Tensor y_ = tensor({2}, {5, 7});
};

TEST_F(BackwardTest, SharedSubexpressionsAddUp) {
  const Recorder recorder(device_, {});
  const Tensor shared = mul(x_, y_);
  const auto result = gradients(sum(add(square(shared), shared)), {x_, y_});
  EXPECT_EQ(result.at(0), (std::vector<double>{(2 * 15 + 1) * 5, (2 * 28 + 1) * 7}));
  EXPECT_EQ(result.at(1), (std::vector<double>{(2 * 15 + 1) * 3, (2 * 28 + 1) * 4}));
}

TEST_F(BackwardTest, AnOperandUsedTwiceByOneOperatorGetsBothGradients) {
  const Recorder recorder(device_, {});
  EXPECT_EQ(gradients(sum(mul(x_, x_)), {x_}).at(0), (std::vector<double>{6, 8}));
}

TEST_F(BackwardTest, UnusedParametersAreNotReported) {
  const Recorder recorder(device_, {});
  const Tensor unused = tensor({1}, {1});
  square(y_);  // used, but not by the loss
  const auto result = gradients(sum(square(x_)), {unused, y_, x_});
  EXPECT_EQ(result.size(), 1u);
  EXPECT_EQ(result.at(2), (std::vector<double>{6, 8}));
}

TEST_F(BackwardTest, TiedParametersGetOneGradientOfAllUses) {
  const Recorder recorder(device_, {});
  const Tensor table = tensor({2, 2}, {1, 2, 3, 4});
  const Tensor loss = sum(mul(sum(table, {0}), sum(transpose(table, 0, 1), {0})));
  // d/dT of Σ_k column_k · row_k = row_k to column k, column_k to row k.
  EXPECT_EQ(gradients(loss, {table}).at(0), (std::vector<double>{3 + 4, 7 + 4, 3 + 6, 7 + 6}));
}

// A table used three times: its gradients are added up in the memory of the first.
TEST_F(BackwardTest, GradientsAddUpInPlace) {
  const Recorder recorder(device_, {});
  const Tensor table = Tensor::zeros({DType::kF64, {1 << 16}, &device_});
  const Tensor loss = add(add(sum(exp(table)), sum(exp(table))), sum(exp(table)));
  EXPECT_EQ(gradients(loss, {table}).at(0)[7], 3.0);
  EXPECT_LT(2 * device_.pool_statistics().bytes_held, 11 * table.spec().bytes())
      << "the table, two exponentials, the sum so far and a gradient; not five and a new sum";
}

// One gradient goes to both operands of an addition: adding to one must not be seen in the other.
TEST_F(BackwardTest, AGradientThatTwoValuesShareIsNotWrittenOver) {
  const Recorder recorder(device_, {});
  const Tensor both = add(x_, y_);
  const auto result = gradients(sum(add(both, scale(x_, 2))), {x_, y_});
  EXPECT_EQ(result.at(0), (std::vector<double>{3, 3}));
  EXPECT_EQ(result.at(1), (std::vector<double>{1, 1}));
}

TEST_F(BackwardTest, AParameterThatIsTheLossHasGradientOne) {
  const Recorder recorder(device_, {});
  const Tensor scalar = tensor({}, {2});
  const Tensor loss = scale(scalar, 3);
  EXPECT_EQ(gradients(loss, {scalar}).at(0), (std::vector<double>{3}));
}

TEST_F(BackwardTest, ViewsPassGradientsToTheirBase) {
  const Recorder recorder(device_, {});
  const Tensor base = tensor({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor column = reshape(slice(base, 1, 1, 2), {2});
  const Tensor wide = broadcast_to(reshape(column, {2, 1}), {2, 4});
  EXPECT_EQ(gradients(sum(square(wide)), {base}).at(0), (std::vector<double>{0, 16, 0, 0, 40, 0}));
}

TEST_F(BackwardTest, ParametersThatAreViewsGetContiguousGradients) {
  const Tensor base = tensor({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor parameter = base.view({{3, 2}, {1, 3}, 0});
  const Recorder recorder(device_, {});
  EXPECT_EQ(gradients(sum(square(parameter)), {parameter}).at(0), (std::vector<double>{2, 8, 4, 10, 6, 12}));
}

// y = last(middle(first(x))) with a parameter a stage: the last stage's gradient comes first, and when it comes, the
// stages before it have not run backward: their tape is still held.
TEST_F(BackwardTest, GradientsComeAsSoonAsTheyAreFinal) {
  const Recorder recorder(device_, {});
  const Tensor a = tensor({2}, {1, 2}), b = tensor({2}, {3, 4}), c = tensor({2}, {5, 6});
  const Tensor loss = sum(mul(exp(mul(exp(mul(x_, a)), b)), c));
  std::vector<std::size_t> order;
  backward(loss, std::vector{a, b, c}, [&](std::size_t i, const Tensor&) { order.push_back(i); });
  EXPECT_EQ(order, (std::vector<std::size_t>{2, 1, 0}));
}

TEST_F(BackwardTest, AParameterUsedEarlyAndLateIsReportedAfterItsEarlyUse) {
  const Recorder recorder(device_, {});
  const Tensor a = tensor({2}, {1, 2}), b = tensor({2}, {3, 4});
  const Tensor loss = sum(mul(mul(mul(x_, a), b), a));
  std::vector<std::size_t> order;
  backward(loss, std::vector{a, b}, [&](std::size_t i, const Tensor&) { order.push_back(i); });
  EXPECT_EQ(order, (std::vector<std::size_t>{1, 0}));
}

TEST_F(BackwardTest, FreesTheTapeAsItGoesBy) {
  const Recorder recorder(device_, {});
  const Tensor a = Tensor::zeros({DType::kF64, {1 << 16}, &device_}), b = Tensor::zeros(a.spec());
  const std::size_t before = device_.pool_statistics().bytes_in_use;
  Tensor loss;
  {
    Tensor h = exp(mul(exp(exp(exp(a))), b));
    loss = sum(h);
  }
  const std::size_t held = device_.pool_statistics().bytes_in_use;
  EXPECT_GE(held, before + 4 * a.spec().bytes());  // four exps' outputs
  std::vector<std::size_t> in_use;
  backward(loss, std::vector{a, b},
           [&](std::size_t, const Tensor&) { in_use.push_back(device_.pool_statistics().bytes_in_use); });
  ASSERT_EQ(in_use.size(), 2u);
  EXPECT_LT(in_use[1], in_use[0]);
  EXPECT_LE(device_.pool_statistics().bytes_in_use, before + loss.spec().bytes() + 128);
}

TEST_F(BackwardTest, ValuesThatNoGradientReadsAreNotHeld) {
  const Recorder recorder(device_, {});
  const Tensor a = Tensor::zeros({DType::kF64, {1 << 16}, &device_});
  const std::size_t before = device_.pool_statistics().bytes_in_use;
  Tensor loss;
  { loss = sum(scale(add_scalar(scale(a, 2), 1), 3)); }
  EXPECT_LE(device_.pool_statistics().bytes_in_use, before + 128);
}

TEST_F(BackwardTest, ASecondCallFindsNothing) {
  const Recorder recorder(device_, {});
  const Tensor loss = sum(square(x_));
  EXPECT_EQ(gradients(loss, {x_}).size(), 1u);
  EXPECT_TRUE(gradients(loss, {x_}).empty());
}

TEST_F(BackwardTest, AParameterServesOneRecordingAfterAnother) {
  for (int step = 0; step < 3; ++step) {
    const Recorder recorder(device_, {});
    EXPECT_EQ(gradients(sum(square(x_)), {x_}).at(0), (std::vector<double>{6, 8}));
  }
}

TEST_F(BackwardTest, TwoLossesOneAfterTheOtherInOneRecording) {
  const Recorder recorder(device_, {});
  EXPECT_EQ(gradients(sum(square(x_)), {x_}).at(0), (std::vector<double>{6, 8}));
  EXPECT_EQ(gradients(sum(mul(x_, y_)), {x_}).at(0), (std::vector<double>{5, 7}));
}

TEST_F(BackwardTest, InnerRecordingsKeepToThemselves) {
  const Recorder outer(device_, {});
  const Tensor h = square(x_);
  {
    const Recorder inner(device_, {}, Recorder::Tape::kOff);
    exp(h);
    EXPECT_TRUE(inner.tape().empty());
  }
  {
    const Recorder inner(device_, {});
    EXPECT_EQ(gradients(sum(square(h)), {h}).at(0), (std::vector<double>{18, 32}));  // a leaf in here
  }
  EXPECT_EQ(&Recorder::current(), &outer);
  EXPECT_EQ(outer.tape().size(), 1u);
  EXPECT_EQ(gradients(sum(h), {x_}).at(0), (std::vector<double>{6, 8}));
}

TEST_F(BackwardTest, ALossOfSeveralElementsIsRefused) {
  const Recorder recorder(device_, {});
  const Tensor wide = square(x_);
  try {
    gradients(wide, {x_});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_STREQ(error.what(), "backward needs a loss of one element, got f64[2]");
  }
}

}  // namespace
}  // namespace convoy
