#include "core/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace convoy {
namespace {

TEST(ErrorTest, FailThrowsCodeAndFormattedMessage) {
  try {
    fail(ErrorCode::kUsage, "{}:{}: expected {}", "gpt.toml", 3, "a number");
    FAIL() << "returned";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_STREQ(error.what(), "gpt.toml:3: expected a number");
  }
}

TEST(ErrorTest, ErrnoValuesHaveText) { EXPECT_EQ(errno_text(ECONNREFUSED), "Connection refused"); }

}  // namespace
}  // namespace convoy
