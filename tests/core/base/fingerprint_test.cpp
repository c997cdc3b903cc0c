#include "core/base/fingerprint.h"

#include <gtest/gtest.h>

namespace convoy {
namespace {

Fingerprint make(std::initializer_list<std::pair<std::string, std::string>> entries) {
  Fingerprint fingerprint;
  for (const auto& [name, value] : entries) fingerprint.add(name, value);
  return fingerprint;
}

TEST(FingerprintTest, EqualOnesHaveNoDifference) {
  EXPECT_EQ(make({{"cpu", "A"}, {"S", "8"}}).difference(make({{"cpu", "A"}, {"S", "8"}})), std::nullopt);
  EXPECT_EQ(Fingerprint{}.difference(Fingerprint{}), std::nullopt);
}

TEST(FingerprintTest, FirstDifferenceNamesBothValues) {
  EXPECT_EQ(make({{"cpu", "A"}, {"S", "8"}}).difference(make({{"cpu", "B"}, {"S", "4"}})), "cpu: 'A' here, 'B' there");
}

TEST(FingerprintTest, EntryThatOneSideLacksIsNamed) {
  EXPECT_EQ(make({{"cpu", "A"}, {"S", "8"}}).difference(make({{"cpu", "A"}})), "S: '8' here, absent there");
  EXPECT_EQ(make({{"cpu", "A"}}).difference(make({{"cpu", "A"}, {"S", "8"}})), "S: absent here, '8' there");
}

TEST(FingerprintTest, OtherNamesInTheSamePlaceDiffer) {
  EXPECT_EQ(make({{"cpu", "A"}}).difference(make({{"gpu", "A"}})), "'cpu' here stands where 'gpu' stands there");
}

}  // namespace
}  // namespace convoy
