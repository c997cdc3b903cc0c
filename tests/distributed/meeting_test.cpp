// How ranks meet at the beginning of an epoch, or do not, alike on every engine that makes a new communicator for each.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/distributed/engine_ranks.h"
#include "tests/distributed/expected_errors.h"

namespace convoy::distributed {
namespace {

using std::chrono::milliseconds;
using testing::EngineRank;
using testing::EngineRanks;
using testing::message_of;
using testing::run_apart;
using testing::Terms;

class MeetingTest : public ::testing::TestWithParam<EngineRanks> {
 protected:
  static std::string refused(EngineRank& context, const Terms& terms) {
    return message_of(ErrorCode::kPeerLost, [&] { context.connect(terms); });
  }
};
INSTANTIATE_TEST_SUITE_P(Engines, MeetingTest, ::testing::ValuesIn(testing::engines_that_rebuild(2)),
                         [](const auto& ranks) { return ranks.param.engine; });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MeetingTest);

TEST_P(MeetingTest, AWrongTokenIsRefusedOnBothSides) {
  run_apart(GetParam(), [](EngineRank& context) {
    Terms terms{.timeout = milliseconds(1000)};
    if (context.rank == 1) terms.token = "another run's";
    const std::string message = refused(context, terms);
    EXPECT_NAMES(message, "token");
    EXPECT_NAMES(message, context.rank == 0 ? "rank 1" : "rank 0");
    EXPECT_NAMES(message, context.places[context.rank == 0 ? 1 : 0]);
  });
}

TEST_P(MeetingTest, AMissingPeerIsNamedWithItsPlace) {
  run_apart({GetParam().engine, 3}, [](EngineRank& context) {
    if (context.rank == 2) return std::this_thread::sleep_for(milliseconds(600));
    const std::string message = refused(context, {.timeout = milliseconds(300)});
    EXPECT_NAMES(message, "rank 2 (");
    EXPECT_NAMES(message, context.places[2] + ")");
    EXPECT_NAMES(message, "1.1");
  });
}

TEST_P(MeetingTest, AStrangersUuidIsRefused) {
  run_apart(GetParam(), [](EngineRank& context) {
    Terms terms{.timeout = milliseconds(500)};
    if (context.rank == 1) terms.members = {context.members[0], Uuid::random()};
    EXPECT_NAMES(refused(context, terms), "UUID");
  });
}

TEST_P(MeetingTest, ALatecomerToAnEpochIsAwaited) {
  run_apart(GetParam(), [](EngineRank& context) {
    // Rank 0 still waits in the old epoch when rank 1 turns up for the new one.
    if (context.rank == 0) {
      EXPECT_NAMES(refused(context, {.timeout = milliseconds(300)}), "epoch 1.1");
    }
    const auto communicator = context.connect({.ballot = {1, 2}});
    double value = 1.0;
    communicator->all_reduce(ReduceType::kF64, &value, 1);
    EXPECT_EQ(value, 2.0);
  });
}

}  // namespace
}  // namespace convoy::distributed
