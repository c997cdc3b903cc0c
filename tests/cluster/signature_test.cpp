#include "cluster/signature.h"

#include <gtest/gtest.h>

#include <string>

namespace convoy::cluster {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// RFC 4231, test case 2.
TEST(SignatureTest, IsThePublishedOne) {
  const Signature signature = sign("Jefe", "what do ya want ", {bytes_of("for "), bytes_of("nothing?")});
  std::string hex;
  for (const std::uint8_t byte : signature) hex += "0123456789abcdef"[byte >> 4], hex += "0123456789abcdef"[byte & 15];
  EXPECT_EQ(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(SignatureTest, DependsOnTokenPurposeAndParts) {
  const Signature signature = sign("token", "purpose", {bytes_of("part")});
  EXPECT_TRUE(same(signature, sign("token", "purpose", {bytes_of("part")})));
  EXPECT_FALSE(same(signature, sign("tokem", "purpose", {bytes_of("part")})));
  EXPECT_FALSE(same(signature, sign("token", "purpos", {bytes_of("part")})));
  EXPECT_FALSE(same(signature, sign("token", "purpose", {bytes_of("pary")})));
  EXPECT_NE(make_nonce(), make_nonce());
}

}  // namespace
}  // namespace convoy::cluster
