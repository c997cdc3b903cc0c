#include "core/tensor/tensor.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/device/cpu_device.h"

namespace convoy {
namespace {

class TensorTest : public testing::Test {
 protected:
  Tensor numbers(const Shape& shape) {
    std::vector<float> values(static_cast<std::size_t>(shape.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    return Tensor::of<float>(device_, shape, values);
  }
  CpuDevice device_;
};

TEST_F(TensorTest, CopiesShareStorageAndIdentity) {
  const Tensor a = numbers({2, 3});
  const Tensor b = a;
  EXPECT_EQ(a.identity(), b.identity());
  EXPECT_NE(a.identity(), a.view(a.layout()).identity());
  EXPECT_EQ(a.raw(), a.view(a.layout()).raw());
  EXPECT_FALSE(Tensor().defined());
}

TEST_F(TensorTest, ReadsElementsOfAnyLayoutInRowMajorOrder) {
  const Tensor a = numbers({2, 3});
  EXPECT_EQ(a.view({{3, 2}, {1, 3}, 0}).to_vector<float>(), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(a.view({{2}, {3}, 1}).to_vector<float>(), (std::vector<float>{1, 4}));
  EXPECT_EQ(a.view({{2, 2}, {0, 1}, 4}).to_vector<float>(), (std::vector<float>{4, 5, 4, 5}));
  EXPECT_EQ(a.view({{}, {}, 5}).item(), 5);
  EXPECT_TRUE(numbers({0, 3}).to_vector<float>().empty());
}

TEST_F(TensorTest, CopiesBetweenLayouts) {
  const Tensor target = Tensor::zeros({DType::kF32, {3, 4}, &device_});
  copy_elements(numbers({2, 3}), target.view({{2, 3}, {1, 4}, 1}));
  EXPECT_EQ(target.to_vector<float>(), (std::vector<float>{0, 0, 3, 0, 0, 1, 4, 0, 0, 2, 5, 0}));
  EXPECT_THROW(copy_elements(numbers({2}), target), Error);
}

TEST_F(TensorTest, StorageReturnsToThePoolWithTheLastHandle) {
  {
    const Tensor view = numbers({1000}).view({{2}, {1}, 7});
    EXPECT_GT(device_.pool_statistics().bytes_in_use, 0u);
  }
  EXPECT_EQ(device_.pool_statistics().bytes_in_use, 0u);
}

TEST_F(TensorTest, BorrowedMemoryIsKeptAliveAndNotFreed) {
  alignas(64) float memory[4] = {1, 2, 3, 4};
  auto owner = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = owner;
  {
    const Tensor tensor = Tensor::borrow({DType::kF32, {4}, &device_}, memory, std::move(owner));
    EXPECT_EQ(tensor.data<float>(), memory);
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

TEST_F(TensorTest, SoleOwnersHaveNoOtherHandleViewOrOwner) {
  const Spec spec{DType::kF32, {4}, &device_};
  const Tensor alone = Tensor::zeros(spec);
  EXPECT_TRUE(alone.is_sole_owner());
  {
    const Tensor other = alone;
    EXPECT_FALSE(alone.is_sole_owner());
  }
  {
    const Tensor view = alone.view(Layout::contiguous({2}));
    EXPECT_FALSE(alone.is_sole_owner());
    EXPECT_FALSE(view.is_sole_owner());
  }
  EXPECT_TRUE(alone.is_sole_owner());
  alone.make_state();
  EXPECT_FALSE(alone.is_sole_owner());
  float foreign[4] = {};
  EXPECT_FALSE(Tensor::borrow(spec, foreign, nullptr).is_sole_owner());
  EXPECT_FALSE(alone.without_storage().is_sole_owner());
}

TEST_F(TensorTest, WrongReadsAreRefused) {
  const Tensor a = numbers({2});
  EXPECT_THROW(a.data<double>(), Error);
  EXPECT_THROW(a.item(), Error);
  EXPECT_THROW(a.without_storage().raw(), Error);
  EXPECT_EQ(a.without_storage().spec(), a.spec());
  EXPECT_THROW(Tensor::of<float>(device_, {3}, std::vector<float>{1, 2}), Error);
}

TEST(ShapeTest, BroadcastFollowsNumPy) {
  EXPECT_EQ(broadcast({3, 1}, {4}), (Shape{3, 4}));
  EXPECT_EQ(broadcast({}, {2, 3}), (Shape{2, 3}));
  EXPECT_EQ(broadcast({0, 3}, {1, 1}), (Shape{0, 3}));
  EXPECT_THROW(broadcast({2}, {3}), Error);
}

TEST(ShapeTest, CountsAndPrints) {
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ((Shape{2, 0, 3}).elements(), 0);
  EXPECT_EQ((Shape{2, 3}).to_string(), "[2, 3]");
  EXPECT_EQ((Shape{2, 3, 4})[-1], 4);
  EXPECT_EQ((Spec{DType::kI64, {5}, nullptr}).to_string(), "i64[5]");
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1}), Error);
}

TEST(LayoutTest, ContiguityIgnoresExtentsOfOneAndOffsets) {
  EXPECT_TRUE(Layout::contiguous({2, 3}).is_contiguous());
  EXPECT_TRUE((Layout{{2, 1, 3}, {3, 99, 1}, 5}).is_contiguous());
  EXPECT_FALSE((Layout{{3, 2}, {1, 3}, 0}).is_contiguous());
  EXPECT_FALSE((Layout{{2, 3}, {4, 1}, 0}).is_contiguous());
  EXPECT_TRUE((Layout{{0, 3}, {7, 7}, 0}).is_contiguous());
}

TEST_F(TensorTest, HoldsAndCopiesBfloat16) {
  const std::vector<bfloat16> values = {bfloat16(1.5f), bfloat16(-2), bfloat16(0x1p-130), bfloat16(3.0)};
  const Tensor a = Tensor::of<bfloat16>(device_, {2, 2}, values);
  EXPECT_EQ(a.spec().bytes(), 8u);
  EXPECT_EQ(a.spec().to_string(), "bf16[2, 2]");
  EXPECT_EQ(a.view({{}, {}, 1}).item(), -2);
  const std::vector<bfloat16> columns = a.view({{2, 2}, {1, 2}, 0}).to_vector<bfloat16>();
  EXPECT_EQ(static_cast<double>(columns[1]), 0x1p-130);
  EXPECT_EQ(static_cast<float>(columns[2]), -2.0f);
  EXPECT_THROW(a.to_vector<float>(), Error);
}

}  // namespace
}  // namespace convoy
