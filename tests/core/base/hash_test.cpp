#include "core/base/hash.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string_view>
#include <vector>

namespace convoy {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(HashTest, EmptyInputHasThePublishedHashes) {
  EXPECT_EQ(xxh3_64({}), 0x2d06800538d394c2ULL);
  EXPECT_EQ(Xxh3Hasher128().hex(), "99aa06d3014798d86001c324468d497f");
}

TEST(HashTest, CutsDoNotMatter) {
  const std::string text(1000, 'x');
  Xxh3Hasher128 whole;
  whole.update(bytes_of(text));
  for (const std::size_t cut : {1, 7, 240, 256, 999}) {
    Xxh3Hasher128 pieces;
    for (std::size_t at = 0; at < text.size(); at += cut)
      pieces.update(bytes_of(text).subspan(at).first(std::min(cut, text.size() - at)));
    EXPECT_EQ(pieces.hex(), whole.hex()) << "cut " << cut;
  }
  Xxh3Hasher64 short_one;
  for (const std::size_t cut : {1, 7, 240, 256, 999}) {
    short_one.reset();
    for (std::size_t at = 0; at < text.size(); at += cut)
      short_one.update(bytes_of(text).subspan(at).first(std::min(cut, text.size() - at)));
    EXPECT_EQ(short_one.value(), xxh3_64(bytes_of(text))) << "cut " << cut;
  }
}

TEST(HashTest, HexMayBeReadBetweenUpdates) {
  Xxh3Hasher128 read_between;
  read_between.update(bytes_of("con"));
  const std::string first = read_between.hex();
  EXPECT_EQ(first.size(), 32U);
  read_between.update(bytes_of("voy"));
  Xxh3Hasher128 whole;
  whole.update(bytes_of("convoy"));
  EXPECT_EQ(read_between.hex(), whole.hex());
  EXPECT_NE(read_between.hex(), first);
}

}  // namespace
}  // namespace convoy
