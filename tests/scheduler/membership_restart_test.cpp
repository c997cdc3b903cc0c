// A scheduler that was started anew: what it goes on with, and what it does not say twice.
#include <gtest/gtest.h>

#include "scheduler/known_workers.h"
#include "tests/scheduler/membership_play.h"

namespace convoy::scheduler {
namespace {

using namespace cluster;
using namespace std::chrono_literals;

constexpr Ballot kFirst{.term = Play::kTerm, .attempt = 1};
using Players = std::vector<int>;

// Workers that have done so many steps in their first epoch.
class Begun : public Play {
 public:
  Begun(std::int32_t world, std::int64_t done) : Play(world) {
    enter_all();
    steps(done);
  }
};

// What a second scheduler finds of them after `steps` steps.
Past found_of(const Play& before, std::int64_t steps) {
  Past past{.term = 2, .restarted = true, .recorded_step = steps};
  for (const EpochRecord& record : before.journalled<EpochRecord>()) past.journal.push_back(record);
  for (const QuarantineRecord& record : before.journalled<QuarantineRecord>()) past.journal.push_back(record);
  return past;
}
// The same workers, as they meet it.
class Restarted : public Play {
 public:
  Restarted(std::int32_t world, const Play& before, const Past& past) : Play(world, Limits{}, past) {
    players = before.players;
    add(machine.start(now));
    enter_agent();
  }
};

TEST(MembershipRestartTest, ARestartDisturbsNobodyWhoGoesOn) {
  Begun before(3, 16);
  Restarted play(3, before, found_of(before, 16));
  EXPECT_EQ(play.events("scheduler_restarted").at(0).detail, "term 2 goes on with epoch 1.1 of 3 workers");
  for (int player = 0; player < 3; ++player) play.enter(player);
  EXPECT_TRUE(play.journalled<EpochRecord>().empty());
  EXPECT_EQ(play.machine.epoch_ballot(), kFirst);
  for (int player = 0; player < 3; ++player) EXPECT_TRUE(play.sent_to<Epoch>(player).empty());
  // As if nothing had happened.
  play.steps(17);
  play.killed(1);
  EXPECT_EQ(play.members(), (Players{0, 2}));
  EXPECT_EQ(play.journalled<EpochRecord>().at(0).epoch.resume_step, 17);
}

TEST(MembershipRestartTest, ARestartHearsOfWhoEndedMeanwhile) {
  Begun before(3, 16);
  Restarted play(3, before, found_of(before, 16));
  play.killed(1);  // an agent tells of everybody who has ended since the run began
  play.enter(0);
  play.enter(2);
  EXPECT_EQ(play.members(), (Players{0, 2}));
  EXPECT_EQ(play.machine.epoch_ballot().term, 2U);
  EXPECT_EQ(play.events("worker_lost").at(0).detail, "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) at step 16");
}

TEST(MembershipRestartTest, ARestartWaitsAWhileForWorkers) {
  Begun before(2, 16);
  Restarted play(2, before, found_of(before, 16));
  play.pass(2s);
  EXPECT_EQ(play.reason(), "not ended");
  play.enter(0);
  play.enter(1);
  EXPECT_EQ(play.machine.epoch_ballot(), kFirst);
}

TEST(MembershipRestartTest, ARestartSeesToItThatTheExcludedAreKilled) {
  Begun before(3, 16);
  before.closed(1);
  Restarted play(3, before, found_of(before, 16));
  play.enter(0);
  play.enter(2);
  EXPECT_TRUE(play.journalled<EpochRecord>().empty());
  play.pass(600ms);
  ASSERT_FALSE(play.sent_to<Exclude>(play.agent).empty());
  EXPECT_EQ(play.sent_to<Exclude>(play.agent)[0].pid, 4241);
  play.killed(1);
  EXPECT_EQ(play.members(), (Players{0, 2}));
}

TEST(MembershipRestartTest, ANewStartForgetsOldEpochs) {
  Begun before(2, 16);
  Past past = found_of(before, 16);
  past.restarted = false;
  past.step = 10;
  Play play(2, {}, past);
  play.add(play.machine.start(play.now));
  EXPECT_TRUE(play.machine.gathering());
  play.enter_all();
  EXPECT_EQ(play.machine.epoch_ballot(), (Ballot{.term = 2, .attempt = 1}));
  EXPECT_EQ(play.sent_to<Epoch>(1).at(0).resume_step, 10);
  EXPECT_EQ(play.events("epoch").at(0).detail, "2 workers, from the checkpoint of step 10");
}

// What the events say of the workers of `before`.
KnownWorkers known_of(const Play& before) {
  KnownWorkers known{.first_term = 1, .begun = !before.journalled<EpochRecord>().empty()};
  for (const Play::Player& player : before.players)
    known.workers.push_back({.uuid = player.uuid, .number = player.rank, .host = player.host, .pid = player.pid});
  return known;
}

TEST(MembershipRestartTest, WhatWasToldIsNotToldAgain) {
  Begun before(3, 16);
  before.closed(1);  // excluded, and lost before the epoch without it
  before.killed(1);
  ASSERT_EQ(before.events("worker_lost").size(), 1U);
  Past past = found_of(before, 16);
  past.journal.resize(1);  // neither the quarantine nor the epoch after it came to stand on record
  past.known = known_of(before);
  past.known.workers[1].told_lost = past.known.workers[1].told_excluded = true;
  past.known.unregistered["(pid 90) was killed by signal 9 (SIGKILL) before it registered"] = 3;
  past.damage = {"term-1 is damaged", "term-2 is damaged"};
  past.known.damage = {"term-1 is damaged"};
  Restarted play(3, before, past);
  play.from_agent(WorkerEnded{.rank = -1, .pid = 90, .signal = 9});
  play.killed(1);
  play.enter(0);
  play.enter(2);
  EXPECT_TRUE(play.events("worker_lost").empty());
  EXPECT_TRUE(play.events("worker_excluded").empty());
  ASSERT_EQ(play.events("journal_damaged").size(), 1U);
  EXPECT_EQ(play.events("journal_damaged")[0].detail, "term-2 is damaged");
  EXPECT_EQ(play.members(), (Players{0, 2}));
}

// They were asked to stop, and did, while there was no scheduler to hear of it.
TEST(MembershipRestartTest, WhoStoppedMeanwhileWasAskedTo) {
  Begun before(3, 16);
  Past past = found_of(before, 16);
  past.checkpoint_step = 16;
  past.run_directory = "out";
  Restarted play(3, before, past);
  for (int player = 0; player < 3; ++player) play.ended(player, 75, 0);
  play.pass(5s);
  EXPECT_EQ(play.exit_code(), 75);
  EXPECT_EQ(play.reason(), "stopped; the last checkpoint is of step 16: run `convoy resume out` to go on");
  EXPECT_TRUE(play.events("worker_lost").empty());
}

TEST(MembershipRestartTest, OfThoseWhoAreLeftNobodyWaitsForWhoStopped) {
  Begun before(3, 16);
  Restarted play(3, before, found_of(before, 16));
  play.ended(1, 75, 0);
  play.enter(0);
  play.enter(2);
  play.from(0, PeersLost{.peers = {play.players[1].uuid}});
  EXPECT_EQ(play.members(), (Players{0, 2}));
}

TEST(MembershipRestartTest, AJoinerKeepsItsNumber) {
  Play before(2);
  before.enter_all();
  const int joiner = before.newcomer(-1, 100);
  before.enter(joiner);
  before.steps(5);
  Past past = found_of(before, 5);
  past.known = known_of(before);
  past.known.workers[2].number = 7;
  Restarted play(2, before, past);
  for (int player = 0; player < 3; ++player) play.enter(player);
  EXPECT_EQ(play.events("worker_reconnected").back().rank, 7);
}

TEST(MembershipRestartTest, AStrangerDoesNotSayWhatTheRunsRecipeIs) {
  Begun before(2, 5);
  Restarted play(2, before, found_of(before, 5));
  const int stranger = play.newcomer(-1, 100);
  play.enter(stranger, "other");
  EXPECT_TRUE(play.events("worker_joined").empty());
  play.enter(0);
  play.enter(1);
  play.tick();
  EXPECT_EQ(play.sent_to<Refuse>(stranger).at(0).reason,
            "this worker does not fit the run: build: 'other' here, 'same' there");
  EXPECT_TRUE(play.sent_to<Refuse>(0).empty());
}

TEST(MembershipRestartTest, WhereTheJournalIsLostThoseWhoLiveGoOn) {
  Begun before(3, 16);
  before.killed(1);
  ASSERT_EQ(before.members(), (Players{0, 2}));
  Past past{.term = 2, .restarted = true, .known = known_of(before), .recorded_step = 16};
  past.known.workers[1].told_lost = true;
  Restarted play(3, before, past);
  play.killed(1);  // its agent tells of everybody who has ended since the run began
  play.enter(0);
  play.enter(2);
  EXPECT_EQ(play.reason(), "not ended");
  EXPECT_EQ(play.members(), (Players{0, 2})) << "nobody waits for a third";
  EXPECT_EQ(play.journalled<EpochRecord>().at(0).epoch.resume_step, 16);
}

TEST(MembershipRestartTest, AStarterThatDiedBeforeTheRunBeganEndsIt) {
  Play before(3);
  before.enter_agent();
  before.enter(0);
  before.enter(1);
  Past past{.term = 2, .restarted = true, .known = known_of(before)};
  past.known.workers.pop_back();
  Restarted play(3, before, past);
  play.enter(0);
  play.killed(1);
  EXPECT_EQ(play.stop_of(0), "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) before step 1");
}

TEST(MembershipRestartTest, AStarterWhoseEndNobodyTellsIsNotAwaitedForLong) {
  Play before(3);
  before.enter_agent();
  before.enter(0);
  before.enter(1);
  Past past{.term = 2, .restarted = true, .known = known_of(before)};
  past.known.workers.pop_back();
  Play play(3, {}, past);
  play.players = before.players;
  play.add(play.machine.start(play.now));
  play.enter(0);
  play.pass(6s);
  EXPECT_EQ(play.stop_of(0), "worker 1 (pid 4241) did not come back within 5 s after the scheduler was started anew");
}

}  // namespace
}  // namespace convoy::scheduler
