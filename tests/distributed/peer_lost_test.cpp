// Who was lost, and how, is said alike by every engine that goes on without them.
#include "distributed/peer_lost.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <thread>

#include "tests/distributed/engine_ranks.h"

namespace convoy::distributed {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::EngineRank;
using testing::EngineRanks;
using testing::run_on;
using How = LostPeer::How;
using Clock = std::chrono::steady_clock;

class PeerLostTest : public ::testing::TestWithParam<EngineRanks> {
 protected:
  // Whom `call` is ended by losing.
  static std::vector<LostPeer> lost_in(const std::function<void()>& call) {
    try {
      call();
    } catch (const PeerLost& lost) {
      return lost.peers();
    } catch (const Error& error) {
      ADD_FAILURE() << "an error of another kind: " << error.what();
      return {};
    }
    ADD_FAILURE() << "no error";
    return {};
  }
  static std::vector<LostPeer> lost_while_reducing(Communicator& communicator) {
    return lost_in([&] {
      double value = 1.0;
      while (true) communicator.all_reduce(ReduceType::kF64, &value, 1);
    });
  }
  static void meet(EngineRank& context) {
    double value = 1.0;
    context.communicator->all_reduce(ReduceType::kF64, &value, 1);
  }
  // Before a rank does what the others are to notice later: once it is through, meet() is everywhere.
  static void all_have_met(EngineRank& context) { meet(context); }
  // Until the other survivors have noticed what this one has, and not its end.
  static void stay() { std::this_thread::sleep_for(milliseconds(200)); }
};
INSTANTIATE_TEST_SUITE_P(Engines, PeerLostTest, ::testing::ValuesIn(testing::engines_that_rebuild(3)),
                         [](const auto& ranks) { return ranks.param.engine; });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PeerLostTest);

TEST_P(PeerLostTest, AKilledPeerHasEnded) {
  run_on(
      GetParam(),
      [](EngineRank& context) {
        meet(context);
        if (context.rank == 2) {
          all_have_met(context);
          raise(SIGKILL);
        }
        const std::vector<LostPeer> expected = {{context.members[2], How::kEnded}};
        EXPECT_EQ(lost_while_reducing(*context.communicator), expected);
        // It says the same again.
        EXPECT_EQ(lost_in([&] { context.communicator->broadcast(nullptr, 0, 0); }), expected);
        stay();
      },
      /*killed=*/2);
}

TEST_P(PeerLostTest, APeerThatAbortsIsNotLost) {
  run_on(GetParam(), [](EngineRank& context) {
    meet(context);
    if (context.rank == 1) {
      all_have_met(context);
      context.communicator->abort();
    }
    EXPECT_EQ(lost_while_reducing(*context.communicator), std::vector<LostPeer>{});
    stay();
  });
}

TEST_P(PeerLostTest, APeerThatLeavesIsNotLost) {
  run_on(GetParam(), [](EngineRank& context) {
    meet(context);
    if (context.rank == 1) {
      all_have_met(context);
      context.communicator.reset();
      return stay();
    }
    EXPECT_EQ(lost_while_reducing(*context.communicator), std::vector<LostPeer>{});
    stay();
  });
}

// As it is when one has lost somebody, gave up and goes on to the next epoch while others are not so far.
TEST_P(PeerLostTest, WhoGivesUpAMeetingIsNotLost) {
  run_on(GetParam(), [](EngineRank& context) {
    meet(context);
    context.communicator.reset();
    if (context.rank == 2) return std::this_thread::sleep_for(milliseconds(800));
    // Rank 1 meets rank 0, waits for rank 2 in vain and gives up; rank 0 has more patience.
    const auto patience = milliseconds(context.rank == 1 ? 200 : 500);
    for (const LostPeer& peer : lost_in([&] { context.connect({.ballot = {1, 2}, .timeout = patience}); })) {
      EXPECT_EQ(peer.uuid, context.members[2]);
      EXPECT_EQ(peer.how, How::kMissing);
    }
    stay();
  });
}

TEST_P(PeerLostTest, WhoDoesNotComeIsMissing) {
  run_on(GetParam(), [](EngineRank& context) {
    meet(context);
    context.communicator.reset();
    if (context.rank == 0) return std::this_thread::sleep_for(milliseconds(800));
    // Rank 2 may be told first that rank 1 gives up.
    const auto patience = milliseconds(context.rank == 1 ? 300 : 500);
    const std::vector<LostPeer> lost = lost_in([&] { context.connect({.ballot = {1, 2}, .timeout = patience}); });
    if (context.rank == 2 && lost.empty()) return;
    ASSERT_FALSE(lost.empty());
    EXPECT_EQ(lost.front(), (LostPeer{context.members[0], How::kMissing})) << "it lives, and may yet come";
  });
}

TEST_P(PeerLostTest, WhoDiedBeforeAMeetingIsLostAtOnce) {
  run_on(
      GetParam(),
      [](EngineRank& context) {
        meet(context);
        if (context.rank == 0) {
          all_have_met(context);
          raise(SIGKILL);
        }
        lost_while_reducing(*context.communicator);
        const auto begin = Clock::now();
        const std::vector<LostPeer> lost = lost_in([&] { context.connect({.ballot = {1, 2}}); });
        EXPECT_LT(Clock::now() - begin, seconds(5));
        ASSERT_EQ(lost.size(), 1U);
        EXPECT_EQ(lost[0].uuid, context.members[0]);
        EXPECT_NE(lost[0].how, How::kMissing);
      },
      /*killed=*/0);
}

}  // namespace
}  // namespace convoy::distributed
