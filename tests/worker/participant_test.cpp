#include "worker/participant.h"

#include <gtest/gtest.h>

#include "cluster/chain.h"

namespace convoy::worker {
namespace {

using cluster::Epoch;
using cluster::Seal;
using State = Participant::State;

Uuid uuid(int index) {
  Uuid out;
  out.bytes[0] = static_cast<std::uint8_t>(index + 1);
  return out;
}
constexpr Ballot ballot(std::uint32_t attempt) { return {.term = 1, .attempt = attempt}; }

// Of workers 0 and 1.
Epoch epoch(std::int64_t step, std::vector<Uuid> donors, std::uint64_t chain, std::uint64_t previous_chain) {
  Epoch out;
  for (int i = 0; i < 2; ++i)
    out.members.push_back({.uuid = uuid(i), .rank = i, .host = {}, .pid = 0, .meeting_place = {}});
  out.resume_step = step;
  out.donors = std::move(donors);
  out.chain = chain;
  out.previous_chain = previous_chain;
  return out;
}

template <typename Duty>
std::vector<Duty> all(const Duties& duties) {
  std::vector<Duty> found;
  for (const auto& duty : duties) {
    if (const Duty* one = std::get_if<Duty>(&duty)) found.push_back(*one);
  }
  return found;
}

// Worker 0 in epoch 1.1, after `steps` steps whose gradients have the checksums 1, 2, …
Participant working(std::int64_t steps) {
  Participant one(uuid(0));
  one.on_seal(ballot(1), {});
  one.on_epoch(ballot(1), epoch(0, {}, cluster::chain_from(0), cluster::chain_from(0)));
  one.restored(ballot(1));
  for (std::int64_t step = 1; step <= steps; ++step) {
    one.begin();
    one.reduced();
    one.applied(static_cast<std::uint64_t>(step));
  }
  return one;
}
std::uint64_t chain(std::int64_t steps) { return working(steps).chain(); }

TEST(ParticipantTest, BeginsWithACheckpoint) {
  Participant one(uuid(0));
  const Duties sealed = one.on_seal(ballot(1), {});
  ASSERT_EQ(all<Answer>(sealed).size(), 1U);
  EXPECT_FALSE(all<Answer>(sealed)[0].answer.standing.has_state);
  EXPECT_FALSE(one.begin());
  const Duties duties = one.on_epoch(ballot(1), epoch(4, {}, 0, 0));
  ASSERT_EQ(all<Fetch>(duties).size(), 1U);
  EXPECT_EQ(all<Fetch>(duties)[0].what, Fetch::What::kCheckpoint);
  EXPECT_EQ(all<Enter>(one.restored(ballot(1))).size(), 1U);
  EXPECT_EQ(one.step(), 4);
  EXPECT_EQ(one.chain(), cluster::chain_from(4));
  EXPECT_TRUE(one.begin());
}

TEST(ParticipantTest, ASealAbortsAStepThatIsNotComplete) {
  Participant one = working(3);
  one.begin();
  const Duties duties = one.on_seal(ballot(2), {});
  EXPECT_EQ(all<AbortCommunication>(duties).size(), 1U);
  ASSERT_EQ(all<Answer>(duties).size(), 1U);
  EXPECT_EQ(all<Answer>(duties)[0].answer.standing.applied, 3);
  EXPECT_FALSE(one.reduced());
}

TEST(ParticipantTest, ASealWaitsForAStepThatIsComplete) {
  Participant one = working(3);
  one.begin();
  EXPECT_TRUE(one.reduced());
  EXPECT_TRUE(one.on_seal(ballot(2), {}).empty());
  const Duties duties = one.applied(4);
  ASSERT_EQ(all<Answer>(duties).size(), 1U);
  EXPECT_EQ(all<Answer>(duties)[0].ballot, ballot(2));
  EXPECT_EQ(all<Answer>(duties)[0].answer.standing.applied, 4);
  EXPECT_FALSE(one.begin());
}

TEST(ParticipantTest, ASealOfALaterStepWaitsForIt) {
  Participant one = working(3);
  EXPECT_TRUE(one.on_seal(ballot(2), {.at_step = 5, .keep = {}}).empty());
  for (std::uint64_t step : {4, 5}) {
    EXPECT_TRUE(one.begin());
    EXPECT_TRUE(one.reduced());
    EXPECT_EQ(one.applied(step).empty(), step == 4);
  }
  EXPECT_EQ(one.sealed(), ballot(2));
  Participant late = working(6);
  EXPECT_EQ(all<Answer>(late.on_seal(ballot(2), {.at_step = 5, .keep = {}})).size(), 1U);
}

TEST(ParticipantTest, OlderWordsAreVoid) {
  Participant one = working(3);
  one.on_seal(ballot(3), {});
  EXPECT_TRUE(one.on_seal(ballot(2), {}).empty());
  EXPECT_TRUE(one.on_epoch(ballot(2), epoch(3, {uuid(0)}, chain(3), chain(2))).empty());
  EXPECT_EQ(all<Answer>(one.on_seal(ballot(3), {})).size(), 1U);                          // its answer was lost
  EXPECT_TRUE(one.on_epoch(ballot(4), epoch(3, {uuid(0)}, chain(3), chain(2))).empty());  // never sealed
  EXPECT_EQ(one.state(), State::kOutside);
}

TEST(ParticipantTest, WhoIsThereGoesOnAtOnce) {
  Participant one = working(3);
  one.on_seal(ballot(2), {});
  EXPECT_EQ(all<Enter>(one.on_epoch(ballot(2), epoch(3, {uuid(0)}, chain(3), chain(2)))).size(), 1U);
  EXPECT_TRUE(one.on_epoch(ballot(2), epoch(3, {uuid(0)}, chain(3), chain(2))).empty());  // announced again
  EXPECT_TRUE(one.serves_state(ballot(2), 3));
  EXPECT_TRUE(one.serves_gradient(ballot(2), 3));
  EXPECT_FALSE(one.serves_state(ballot(1), 3));
  EXPECT_FALSE(one.serves_state(ballot(2), 4));
}

TEST(ParticipantTest, ALaggardAppliesADonorsGradient) {
  Participant one = working(3);
  one.begin();
  one.on_seal(ballot(2), {});
  const Duties duties = one.on_epoch(ballot(2), epoch(4, {uuid(1)}, chain(4), chain(3)));
  ASSERT_EQ(all<Fetch>(duties).size(), 1U);
  EXPECT_EQ(all<Fetch>(duties)[0],
            (Fetch{.what = Fetch::What::kGradient, .ballot = ballot(2), .step = 4, .donors = {uuid(1)}}));
  EXPECT_TRUE(one.begin());
  EXPECT_TRUE(one.reduced());
  EXPECT_EQ(all<Enter>(one.applied(4)).size(), 1U);
  EXPECT_EQ(one.chain(), chain(4));
}

TEST(ParticipantTest, AnotherGradientIsAFault) {
  Participant one = working(3);
  one.on_seal(ballot(2), {});
  one.on_epoch(ballot(2), epoch(4, {uuid(1)}, chain(4), chain(3)));
  one.begin();
  one.reduced();
  EXPECT_EQ(all<Fault>(one.applied(5)).size(), 1U);
}

TEST(ParticipantTest, ADonorWithoutTheGradientGivesTheState) {
  Participant one = working(3);
  one.on_seal(ballot(2), {});
  one.on_epoch(ballot(2), epoch(4, {uuid(1)}, chain(4), chain(3)));
  const Duties duties = one.no_gradient(ballot(2));
  ASSERT_EQ(all<Fetch>(duties).size(), 1U);
  EXPECT_EQ(all<Fetch>(duties)[0].what, Fetch::What::kState);
  EXPECT_FALSE(one.has_state());
  EXPECT_EQ(all<Enter>(one.restored(ballot(2))).size(), 1U);
  EXPECT_EQ(one.step(), 4);
  EXPECT_FALSE(one.serves_gradient(ballot(2), 4));
}

TEST(ParticipantTest, ASealEndsAFetch) {
  Participant one = working(3);
  one.on_seal(ballot(2), {});
  one.on_epoch(ballot(2), epoch(8, {uuid(1)}, 1, 2));
  const Duties duties = one.on_seal(ballot(3), {});
  ASSERT_EQ(all<Answer>(duties).size(), 1U);
  EXPECT_FALSE(all<Answer>(duties)[0].answer.standing.has_state);  // half of it has gone
  EXPECT_TRUE(one.restored(ballot(2)).empty());
  EXPECT_FALSE(one.has_state());
}

TEST(ParticipantTest, AMemberAheadOfAnEpochIsAFault) {
  Participant one = working(3);
  one.on_seal(ballot(2), {});
  const Duties duties = one.on_epoch(ballot(2), epoch(2, {uuid(1)}, chain(2), chain(1)));
  ASSERT_EQ(all<Fault>(duties).size(), 1U);
  EXPECT_EQ(all<Fault>(duties)[0].reason, "epoch 1.2 goes on after step 2, but this worker has applied step 3");
}

TEST(ParticipantTest, AJoinerFollowsAndDropsWhatWentAnotherWay) {
  Participant one(uuid(0));
  EXPECT_TRUE(one.copied(2, chain(2), chain(1)));
  EXPECT_TRUE(one.followed(3));
  EXPECT_EQ(one.chain(), chain(3));
  one.on_seal(ballot(2), {});
  EXPECT_FALSE(one.followed(4));
  EXPECT_FALSE(one.copied(2, chain(2), chain(1)));
  Participant ahead = one;
  EXPECT_EQ(all<Enter>(one.on_epoch(ballot(2), epoch(3, {uuid(1)}, chain(3), chain(2)))).size(), 1U);
  const Duties duties = ahead.on_epoch(ballot(2), epoch(2, {uuid(1)}, chain(2), chain(1)));
  ASSERT_EQ(all<Fetch>(duties).size(), 1U);
  EXPECT_EQ(all<Fetch>(duties)[0].what, Fetch::What::kState);
}

TEST(ParticipantTest, WhoWorksUnderWhatIsKeptGoesOn) {
  Participant one = working(3);
  one.begin();
  const Ballot next_term{.term = 2, .attempt = 1};
  const Duties duties = one.on_seal(next_term, {.at_step = -1, .keep = ballot(1)});
  ASSERT_EQ(all<Answer>(duties).size(), 1U);
  EXPECT_TRUE(all<Answer>(duties)[0].answer.kept);
  EXPECT_TRUE(all<AbortCommunication>(duties).empty());
  EXPECT_TRUE(one.reduced());
  one.applied(4);
  EXPECT_TRUE(one.on_seal(ballot(9), {}).empty());  // of the scheduler before
  EXPECT_EQ(all<Answer>(one.on_seal({.term = 2, .attempt = 2}, {})).size(), 1U);
}

TEST(ParticipantTest, WhoItCannotReachIsPartOfItsAnswer) {
  Participant one = working(3);
  one.lost({uuid(1)});
  one.lost({uuid(1)});
  EXPECT_EQ(all<Answer>(one.on_seal(ballot(2), {}))[0].answer.unreachable, std::vector<Uuid>{uuid(1)});
  one.on_epoch(ballot(2), epoch(3, {uuid(0)}, chain(3), chain(2)));
  EXPECT_TRUE(all<Answer>(one.on_seal(ballot(3), {}))[0].answer.unreachable.empty());
}

}  // namespace
}  // namespace convoy::worker
