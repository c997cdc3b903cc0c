#include "core/base/philox.h"

#include <gtest/gtest.h>

namespace convoy {
namespace {

// The known-answer vectors that the authors publish with Random123 (kat_vectors, philox4x32 10).
TEST(PhiloxTest, MatchesThePublishedVectors) {
  using Four = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, UniformFloatsLieInTheHalfOpenUnitInterval) {
  EXPECT_EQ(uniform_float(0), 0.0f);
  EXPECT_EQ(uniform_float(0x80000000), 0.5f);
  EXPECT_LT(uniform_float(0xffffffff), 1.0f);
  double sum = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    for (const std::uint32_t bits : philox({i, 0, 0, 0}, {1, 2})) sum += uniform_float(bits);
  }
  EXPECT_NEAR(sum / 4000, 0.5, 0.02);
}

TEST(PhiloxTest, MixTellsValuesAndTheirOrderApart) {
  static_assert(mix(1, 2) == mix(1, 2));
  EXPECT_NE(mix(1, 2), mix(2, 1));
  EXPECT_NE(mix(1), mix(1, 0));
  EXPECT_NE(mix(std::uint64_t{1} << 32), mix(1));
  EXPECT_NE(mix(std::uint64_t{1} << 32), mix(0));
}

}  // namespace
}  // namespace convoy
