#include "core/tensor/bfloat16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace convoy {
namespace {

float rounded(float value) { return static_cast<float>(bfloat16(value)); }

TEST(Bfloat16Test, EveryValueSurvives) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const bfloat16 value = bfloat16::from_bits(static_cast<std::uint16_t>(bits));
    const auto wide = static_cast<float>(value);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(rounded(wide))) << bits;
    } else {
      EXPECT_EQ(bfloat16(wide).bits(), bits);
      EXPECT_EQ(bfloat16(static_cast<double>(wide)).bits(), bits);
    }
  }
}

TEST(Bfloat16Test, RoundsToNearestTiesToEven) {
  EXPECT_EQ(rounded(1.0f + 0x1p-8f), 1.0f);                       // a tie, down to even
  EXPECT_EQ(rounded(1.0f + 3 * 0x1p-8f), 1.0f + 4 * 0x1p-8f);     // a tie, up to even
  EXPECT_EQ(rounded(1.0f + 0x1p-8f + 0x1p-23f), 1.0f + 0x1p-7f);  // beyond the tie
  EXPECT_EQ(rounded(-1.0f - 0x1p-8f), -1.0f);
  EXPECT_TRUE(std::isinf(rounded(std::numeric_limits<float>::max())));
  EXPECT_TRUE(std::signbit(rounded(-0.0f)));
}

TEST(Bfloat16Test, NanStaysNanWhateverItsPayload) {
  for (const std::uint32_t bits : {0x7F800001u, 0x7FFFFFFFu, 0xFF800001u, 0xFFFFFFFFu})
    EXPECT_TRUE(std::isnan(rounded(std::bit_cast<float>(bits)))) << bits;
}

TEST(Bfloat16Test, DoublesAreRoundedOnce) {
  // To float this rounds down to the tie, which would then go to even: twice the wrong way.
  EXPECT_EQ(static_cast<double>(bfloat16(1.0 + 0x1p-8 + 0x1p-30)), 1.0 + 0x1p-7);
  EXPECT_EQ(static_cast<double>(bfloat16(1.0 + 3 * 0x1p-8 - 0x1p-30)), 1.0 + 0x1p-7);
  EXPECT_EQ(static_cast<double>(bfloat16(-1.0 - 0x1p-8 - 0x1p-30)), -1.0 - 0x1p-7);
  EXPECT_TRUE(std::isinf(static_cast<double>(bfloat16(1e300))));
  EXPECT_TRUE(std::isnan(static_cast<double>(bfloat16(std::numeric_limits<double>::quiet_NaN()))));
  EXPECT_EQ(static_cast<int>(bfloat16(-7)), -7);
}

}  // namespace
}  // namespace convoy
