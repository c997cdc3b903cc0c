#include "worker/epoch_session.h"

#include <gtest/gtest.h>

#include <thread>

#include "cluster/chain.h"
#include "core/base/error.h"

namespace convoy::worker {
namespace {

constexpr Ballot ballot(std::uint32_t attempt) { return {.term = 1, .attempt = attempt}; }

class EpochSessionTest : public testing::Test {
 protected:
  cluster::Epoch epoch(std::int64_t step, std::vector<Uuid> donors = {}) const {
    cluster::Epoch epoch{.members = {}, .resume_step = step, .donors = std::move(donors)};
    epoch.members.push_back({.uuid = self_, .rank = 0, .host = {}, .pid = 0, .meeting_place = {}});
    epoch.chain = epoch.previous_chain = cluster::chain_from(step);
    return epoch;
  }
  // As it is once it takes part, from the beginning.
  void begin() {
    session_.on_seal(ballot(1), {});
    session_.on_epoch(ballot(1), epoch(0));
    const Task fetch = session_.next_task();
    ASSERT_TRUE(std::holds_alternative<FetchState>(fetch));
    session_.restored(ballot(1));
    const Task enter = session_.next_task();
    ASSERT_TRUE(std::holds_alternative<EnterEpoch>(enter));
    entered_ = std::get<EnterEpoch>(enter);
  }

  const Uuid self_ = Uuid::random();
  std::vector<std::pair<Ballot, cluster::SealAnswer>> answers_;
  int aborts_ = 0;
  EnterEpoch entered_;
  EpochSession session_{
      self_,
      [this](const Ballot& ballot, cluster::SealAnswer answer) { answers_.emplace_back(ballot, std::move(answer)); },
      [this] { ++aborts_; }};
};

TEST_F(EpochSessionTest, GivesTheTrainingThreadOneTaskAfterTheOther) {
  begin();
  EXPECT_EQ(entered_.ballot, ballot(1));
  EXPECT_EQ(entered_.epoch.members.size(), 1u);
  EXPECT_FALSE(entered_.sealed.stop_requested());
  EXPECT_FALSE(session_.has_task());
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].first, ballot(1));
}

TEST_F(EpochSessionTest, ASealEndsWhatIsUnderWay) {
  begin();
  ASSERT_TRUE(session_.begin());
  session_.on_seal(ballot(2), {});
  EXPECT_EQ(aborts_, 1);
  EXPECT_TRUE(entered_.sealed.stop_requested());
  EXPECT_FALSE(session_.reduced());
  EXPECT_EQ(answers_.size(), 2u);
}

TEST_F(EpochSessionTest, WhoCannotBeReachedIsPartOfTheNextAnswer) {
  begin();
  const Uuid peer = Uuid::random();
  session_.unreachable(ballot(7), {Uuid::random()});  // of an epoch that is none of ours
  session_.unreachable(ballot(1), {peer});
  session_.on_seal(ballot(2), {});
  EXPECT_EQ(answers_.back().second.unreachable, std::vector<Uuid>{peer});
  // In the next epoch all is well again, until it is not.
  session_.on_epoch(ballot(2), epoch(0, {self_}));
  session_.unreachable(ballot(1), {peer});
  session_.on_seal(ballot(3), {});
  EXPECT_EQ(answers_.back().second.unreachable, std::vector<Uuid>{});
}

TEST_F(EpochSessionTest, AStepThatIsCompleteIsAppliedFirst) {
  begin();
  ASSERT_TRUE(session_.begin());
  ASSERT_TRUE(session_.reduced());
  session_.on_seal(ballot(2), {});
  EXPECT_EQ(answers_.size(), 1u);
  EXPECT_EQ(aborts_, 0);
  session_.applied(42);
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(answers_[1].second.standing.applied, 1);
  EXPECT_EQ(aborts_, 1);
}

TEST_F(EpochSessionTest, ATaskThatWasNotTakenIsVoidOnceItsEpochIsSealed) {
  session_.on_seal(ballot(1), {});
  session_.on_epoch(ballot(1), epoch(0));
  EXPECT_TRUE(session_.has_task());
  session_.on_seal(ballot(2), {});
  EXPECT_FALSE(session_.has_task());
}

TEST_F(EpochSessionTest, OffersItsStateToTheMembersOfItsEpoch) {
  EXPECT_EQ(session_.offers(ballot(1), Pull::What::kState, 0), Offer::Kind::kNotYet);
  begin();
  EXPECT_EQ(session_.offers(ballot(1), Pull::What::kState, 0), Offer::Kind::kHere);
  EXPECT_EQ(session_.offers(ballot(1), Pull::What::kState, 1), Offer::Kind::kNever);
  EXPECT_EQ(session_.offers(ballot(1), Pull::What::kGradient, 0), Offer::Kind::kNever);
  EXPECT_EQ(session_.offers(ballot(2), Pull::What::kState, 0), Offer::Kind::kNotYet);
}

TEST_F(EpochSessionTest, WhoeverWaitsHearsOfTheEnd) {
  begin();
  std::thread other([this] { session_.end(); });
  EXPECT_TRUE(std::holds_alternative<RunIsOver>(session_.next_task()));
  other.join();
}

TEST_F(EpochSessionTest, TheEndEndsMeetingsAndFetches) {
  begin();
  session_.end();
  EXPECT_TRUE(entered_.sealed.stop_requested());
  EXPECT_TRUE(std::holds_alternative<RunIsOver>(session_.next_task()));
}

// The others went back behind what it has applied: they would come to another state.
TEST_F(EpochSessionTest, ABrokenProtocolEndsTheProcess) {
  begin();
  ASSERT_TRUE(session_.begin());
  ASSERT_TRUE(session_.reduced());
  session_.applied(42);
  session_.on_seal(ballot(2), {});
  session_.on_epoch(ballot(2), epoch(0, {Uuid::random()}));
  EXPECT_THROW(session_.next_task(), Error);
}

}  // namespace
}  // namespace convoy::worker
