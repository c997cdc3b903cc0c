#include "core/base/utf8.h"

#include <gtest/gtest.h>

namespace convoy {
namespace {

const std::string kBad = "\xEF\xBF\xBD";

TEST(Utf8Test, WellFormedTextStaysAsItIs) {
  for (const char* text : {"", "plain\tand\nlines", "é", "€ and \xEF\xBF\xBD", "😀", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF"})
    EXPECT_EQ(printable_utf8(text), text);
}

TEST(Utf8Test, EachByteThatIsNoTextIsReplaced) {
  EXPECT_EQ(printable_utf8("a\xff"
                           "b"),
            "a" + kBad + "b");
  EXPECT_EQ(printable_utf8("\x80\xBF"), kBad + kBad) << "continuations without a start";
  EXPECT_EQ(printable_utf8("\xC3"), kBad) << "cut off";
  EXPECT_EQ(printable_utf8("\xE2\x82z"), kBad + kBad + "z") << "cut off by a letter";
  EXPECT_EQ(printable_utf8("\xC0\xAF"), kBad + kBad) << "overlong";
  EXPECT_EQ(printable_utf8("\xE0\x80\xAF"), kBad + kBad + kBad) << "overlong";
  EXPECT_EQ(printable_utf8("\xED\xA0\x80"), kBad + kBad + kBad) << "a surrogate";
  EXPECT_EQ(printable_utf8("\xF4\x90\x80\x80"), kBad + kBad + kBad + kBad) << "beyond U+10FFFF";
}

TEST(Utf8Test, ControlCharactersAreReplaced) {
  EXPECT_EQ(printable_utf8(std::string_view("\0\r\x1b\x7f", 4)), kBad + kBad + kBad + kBad);
  EXPECT_EQ(printable_utf8("\xC2\x85"), kBad + kBad);
  EXPECT_EQ(printable_utf8("\xC2\xA0"), "\xC2\xA0");
}

}  // namespace
}  // namespace convoy
