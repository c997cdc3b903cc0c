#include "distributed/pages.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

TEST(PagesTest, AreAddressSpaceUntilTheyAreUsed) {
  const Pages pages(64ULL << 30);
  ASSERT_EQ(pages.span().size(), 64ULL << 30);
  pages.commit(32ULL << 30, 1 << 20);
  EXPECT_EQ(pages.span()[32ULL << 30], std::byte{0});
  EXPECT_THROW(pages.commit(64ULL << 30, 1), Error);
}

TEST(PagesTest, WhatIsGivenBackReadsAsZeros) {
  const Pages pages(1 << 20);
  const std::span<std::byte> bytes = pages.span();
  std::ranges::fill(bytes, std::byte{7});
  EXPECT_TRUE(give_back(bytes.subspan(100, 3 * 4096)));
  EXPECT_EQ(bytes[4095], std::byte{7}) << "not a whole page";
  EXPECT_EQ(bytes[4096], std::byte{0});
  EXPECT_EQ(bytes[3 * 4096 - 1], std::byte{0});
  EXPECT_EQ(bytes[3 * 4096], std::byte{7});
  EXPECT_TRUE(give_back(bytes.subspan(100, 200)));
  EXPECT_EQ(bytes[100], std::byte{7});
}

TEST(PagesTest, MoreMemoryThanThereIsIsRefused) {
  const Pages pages(1ULL << 43);
  try {
    pages.commit(0, 1ULL << 43);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  }
  EXPECT_THROW(Pages(1ULL << 60), Error);
}

}  // namespace
}  // namespace convoy::distributed
