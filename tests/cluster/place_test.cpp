#include "cluster/place.h"

#include <gtest/gtest.h>

#include <map>

#include "core/base/error.h"

namespace convoy::cluster {
namespace {

using Variables = std::map<std::string, std::string>;

Variables launched() {
  return {{kRankVariable, "2"},
          {kWorldVariable, "4"},
          {kLocalRankVariable, "0"},
          {kLocalWorldVariable, "2"},
          {kSchedulerVariable, "tcp://10.0.0.1:4321"},
          {kSchedulerKeyVariable, std::string(40, 'k')},
          {kTokenVariable, std::string(64, 'a')}};
}

Place place_in(const Variables& variables) {
  return find_place([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(PlaceTest, IsAloneWithoutALauncher) {
  const Place place = place_in({{"PATH", "/bin"}, {kLifelineVariable, "7"}});
  EXPECT_EQ(place.rank, 0);
  EXPECT_EQ(place.world, 1);
  EXPECT_FALSE(place.scheduler);
  EXPECT_EQ(place.launcher, Launcher::kNone);
  EXPECT_EQ(place.detected_by, "alone: no launcher's variables");
}

TEST(PlaceTest, ComesFromConvoyLaunch) {
  const Place place = place_in(launched());
  EXPECT_EQ(place.rank, 2);
  EXPECT_EQ(place.world, 4);
  EXPECT_EQ(place.local_rank, 0);
  EXPECT_EQ(place.local_world, 2);
  ASSERT_TRUE(place.scheduler);
  EXPECT_EQ(place.scheduler->address, "tcp://10.0.0.1:4321");
  EXPECT_EQ(place.scheduler->public_key, std::string(40, 'k'));
  EXPECT_EQ(place.scheduler->token, std::string(64, 'a'));
  EXPECT_EQ(place.launcher, Launcher::kConvoy);
  EXPECT_EQ(place.detected_by, "convoy launch: CONVOY_RANK=2, CONVOY_WORLD_SIZE=4");
}

TEST(PlaceTest, WhoJoinsARunIsNumberedByItsScheduler) {
  Variables variables = launched();
  EXPECT_FALSE(place_in(variables).joins());
  variables[kRankVariable] = "-1";
  const Place place = place_in(variables);
  EXPECT_TRUE(place.joins());
  EXPECT_EQ(place.rank, Place::kJoins);
  EXPECT_EQ(place.local_rank, 0);
}

TEST(PlaceTest, NeedsEveryVariableOnceOneIsThere) {
  for (const auto& [name, value] : launched()) {
    Variables variables = launched();
    variables.erase(name);
    try {
      (void)place_in(variables);
      ADD_FAILURE() << "accepted without " << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_NE(std::string(error.what()).find(name + " is not"), std::string::npos) << error.what();
    }
  }
}

struct WrongValue {
  const char* name;
  std::string value;
  std::string message;
};
class WrongValueTest : public testing::TestWithParam<WrongValue> {};
INSTANTIATE_TEST_SUITE_P(
    Variables, WrongValueTest,
    testing::Values(WrongValue{kRankVariable, "two", "CONVOY_RANK='two' is not a whole number"},
                    WrongValue{kRankVariable, "", "CONVOY_RANK='' is not a whole number"},
                    WrongValue{kRankVariable, "1x", "CONVOY_RANK='1x' is not a whole number"},
                    WrongValue{kRankVariable, "99999999999", "CONVOY_RANK='99999999999' is not a whole number"},
                    WrongValue{kRankVariable, "4", "CONVOY_RANK=4 must be at least 0 and below CONVOY_WORLD_SIZE=4"},
                    WrongValue{kRankVariable, "-2", "CONVOY_RANK=-2 must be at least 0 and below CONVOY_WORLD_SIZE=4"},
                    WrongValue{kWorldVariable, "0", "CONVOY_WORLD_SIZE=0 must be at least 1"},
                    WrongValue{kLocalRankVariable, "2",
                               "CONVOY_LOCAL_RANK=2 must be at least 0 and below CONVOY_LOCAL_WORLD_SIZE=2"},
                    WrongValue{kLocalWorldVariable, "5",
                               "CONVOY_LOCAL_WORLD_SIZE=5 must not be above CONVOY_WORLD_SIZE=4"},
                    WrongValue{kSchedulerVariable, "10.0.0.1:4321",
                               "CONVOY_SCHEDULER='10.0.0.1:4321' must be an address like tcp://10.0.0.1:4321"},
                    WrongValue{kSchedulerKeyVariable, "short", "CONVOY_SCHEDULER_KEY must have 40 characters, has 5"},
                    WrongValue{kTokenVariable, "not hex", "CONVOY_TOKEN must be 64 hex digits"}));

TEST_P(WrongValueTest, IsNamed) {
  Variables variables = launched();
  variables[GetParam().name] = GetParam().value;
  try {
    (void)place_in(variables);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_EQ(error.what(), GetParam().message);
  }
}

}  // namespace
}  // namespace convoy::cluster
