#include "core/base/quantity.h"

#include <gtest/gtest.h>

#include <cmath>

namespace convoy {
namespace {

TEST(QuantityTest, HasThreeDigitsAndAPrefix) {
  EXPECT_EQ(with_prefix(0, "B"), "0 B");
  EXPECT_EQ(with_prefix(7, "B"), "7 B");
  EXPECT_EQ(with_prefix(0.25, "ms"), "0.25 ms");
  EXPECT_EQ(with_prefix(999, "B"), "999 B");
  EXPECT_EQ(with_prefix(1000, "B"), "1.00 kB");
  EXPECT_EQ(with_prefix(12345, "B"), "12.3 kB");
  EXPECT_EQ(with_prefix(123456789, "flop"), "123 Mflop");
  EXPECT_EQ(with_prefix(1.5e12, "flop/s"), "1.50 Tflop/s");
}

TEST(QuantityTest, RoundingNeverGivesFourDigits) {
  EXPECT_EQ(with_prefix(999.9, "B"), "1.00 kB");
  EXPECT_EQ(with_prefix(9.996e3, "B"), "10.0 kB");
  EXPECT_EQ(with_prefix(99.97e3, "B"), "100 kB");
  EXPECT_EQ(with_prefix(999.7e6, "B"), "1.00 GB");
}

TEST(QuantityTest, NanLosesItsSignAndNothingElseDoes) {
  EXPECT_FALSE(std::signbit(unsigned_nan(-std::nan(""))));
  EXPECT_TRUE(std::isnan(unsigned_nan(-std::nan(""))));
  EXPECT_EQ(unsigned_nan(-1.5), -1.5);
}

}  // namespace
}  // namespace convoy
