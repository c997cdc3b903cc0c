#include "core/base/uuid.h"

#include <gtest/gtest.h>

#include <set>

#include "core/base/error.h"

namespace convoy {
namespace {

TEST(UuidTest, TextReadsBackToTheSameValue) {
  const Uuid uuid = Uuid::random();
  EXPECT_EQ(Uuid::parse(uuid.to_string()), uuid);
  EXPECT_EQ(uuid.to_string().size(), 36U);
}

TEST(UuidTest, TextIsGroupedLowerCaseHex) {
  Uuid uuid;
  for (std::size_t i = 0; i < 16; ++i) uuid.bytes[i] = static_cast<std::uint8_t>(0xA0 + i);
  EXPECT_EQ(uuid.to_string(), "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
}

TEST(UuidTest, ParseTakesUpperCaseAndNoDashes) {
  EXPECT_EQ(Uuid::parse("A0A1A2A3A4A5A6A7A8A9AAABACADAEAF").to_string(), "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
}

TEST(UuidTest, ParseRefusesWhatIsNotThirtyTwoHexDigits) {
  for (const char* text : {"", "a0a1", "g0a1a2a3a4a5a6a7a8a9aaabacadaeaf", "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf0"}) {
    EXPECT_THROW(Uuid::parse(text), Error) << text;
  }
}

TEST(UuidTest, RandomOnesDiffer) {
  std::set<Uuid> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(Uuid::random());
  EXPECT_EQ(seen.size(), 1000U);
  EXPECT_FALSE(seen.contains(Uuid{}));
}

TEST(UuidTest, OnlyTheZeroIdIsNil) {
  EXPECT_TRUE(Uuid{}.is_nil());
  EXPECT_FALSE(Uuid::random().is_nil());
}

TEST(UuidTest, RandomHexHasTwoDigitsAByte) {
  EXPECT_EQ(random_hex(0), "");
  EXPECT_EQ(random_hex(16).size(), 32U);
  EXPECT_NE(random_hex(16), random_hex(16));
}

}  // namespace
}  // namespace convoy
