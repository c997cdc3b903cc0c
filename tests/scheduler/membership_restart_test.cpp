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

// What a second scheduler finds of a run of `world` workers in their first epoch, after `steps` steps.
Past restarted(const Play& before, std::int64_t steps) {
  Past past{.term = 2, .restarted = true, .recorded_step = steps};
  for (const EpochRecord& record : before.journalled<EpochRecord>()) past.journal.push_back(record);
  for (const QuarantineRecord& record : before.journalled<QuarantineRecord>()) past.journal.push_back(record);
  return past;
}
// The same workers, as they meet it.
void come_back(Play& play, const Play& before) {
  play.players = before.players;
  play.add(play.machine.start(play.now));
  play.enter_agent();
}

TEST(MembershipRestartTest, ARestartDisturbsNobodyWhoGoesOn) {
  Play before(3);
  before.enter_all();
  before.steps(16);
  Play play(3, {}, restarted(before, 16));
  come_back(play, before);
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
  Play before(3);
  before.enter_all();
  before.steps(16);
  Play play(3, {}, restarted(before, 16));
  come_back(play, before);
  play.killed(1);  // an agent tells of everybody who has ended since the run began
  play.enter(0);
  play.enter(2);
  EXPECT_EQ(play.members(), (Players{0, 2}));
  EXPECT_EQ(play.machine.epoch_ballot().term, 2U);
  EXPECT_EQ(play.events("worker_lost").at(0).detail, "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) at step 16");
}

TEST(MembershipRestartTest, ARestartWaitsAWhileForWorkers) {
  Play before(2);
  before.enter_all();
  before.steps(16);
  Play play(2, {}, restarted(before, 16));
  come_back(play, before);
  play.pass(2s);
  EXPECT_EQ(play.reason(), "not ended");
  play.enter(0);
  play.enter(1);
  EXPECT_EQ(play.machine.epoch_ballot(), kFirst);
}

TEST(MembershipRestartTest, ARestartSeesToItThatTheExcludedAreKilled) {
  Play before(3);
  before.enter_all();
  before.steps(16);
  before.closed(1);
  Play play(3, {}, restarted(before, 16));
  come_back(play, before);
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
  Play before(2);
  before.enter_all();
  before.steps(16);
  Past past = restarted(before, 16);
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
  Play before(3);
  before.enter_all();
  before.steps(16);
  before.closed(1);  // excluded, and lost before the epoch without it
  before.killed(1);
  ASSERT_EQ(before.events("worker_lost").size(), 1U);
  Past past = restarted(before, 16);
  past.journal.resize(1);  // neither the quarantine nor the epoch after it came to stand on record
  past.known = known_of(before);
  past.known.workers[1].told_lost = past.known.workers[1].told_excluded = true;
  past.known.unregistered["(pid 90) was killed by signal 9 (SIGKILL) before it registered"] = 3;
  Play play(3, {}, past);
  come_back(play, before);
  play.from_agent(WorkerEnded{.rank = -1, .pid = 90, .signal = 9});
  play.killed(1);
  play.enter(0);
  play.enter(2);
  EXPECT_TRUE(play.events("worker_lost").empty());
  EXPECT_TRUE(play.events("worker_excluded").empty());
  EXPECT_EQ(play.members(), (Players{0, 2}));
}

// They were asked to stop, and did, while there was no scheduler to hear of it.
TEST(MembershipRestartTest, WhoStoppedMeanwhileWasAskedTo) {
  Play before(3);
  before.enter_all();
  before.steps(16);
  Past past = restarted(before, 16);
  past.checkpoint_step = 16;
  past.run_directory = "out";
  Play play(3, {}, past);
  come_back(play, before);
  for (int player = 0; player < 3; ++player) play.ended(player, 75, 0);
  play.pass(5s);
  EXPECT_EQ(play.exit_code(), 75);
  EXPECT_EQ(play.reason(), "stopped; the last checkpoint is of step 16: run `convoy resume out` to go on");
  EXPECT_TRUE(play.events("worker_lost").empty());
}

TEST(MembershipRestartTest, OfThoseWhoAreLeftNobodyWaitsForWhoStopped) {
  Play before(3);
  before.enter_all();
  before.steps(16);
  Play play(3, {}, restarted(before, 16));
  come_back(play, before);
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
  Past past = restarted(before, 5);
  past.known = known_of(before);
  past.known.workers[2].number = 7;
  Play play(2, {}, past);
  come_back(play, before);
  for (int player = 0; player < 3; ++player) play.enter(player);
  EXPECT_EQ(play.events("worker_reconnected").back().rank, 7);
}

TEST(MembershipRestartTest, AStrangerDoesNotSayWhatTheRunsRecipeIs) {
  Play before(2);
  before.enter_all();
  before.steps(5);
  Play play(2, {}, restarted(before, 5));
  come_back(play, before);
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
  Play before(3);
  before.enter_all();
  before.steps(16);
  before.killed(1);
  ASSERT_EQ(before.members(), (Players{0, 2}));
  Past past{.term = 2, .restarted = true, .known = known_of(before), .recorded_step = 16};
  past.known.workers[1].told_lost = true;
  Play play(3, {}, past);
  come_back(play, before);
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
  Play play(3, {}, past);
  come_back(play, before);
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
