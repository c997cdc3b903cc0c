// Who comes to a run, who is lost, and that the others go on.
#include "scheduler/membership.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/error.h"
#include "tests/scheduler/membership_play.h"

namespace convoy::scheduler {
namespace {

using namespace cluster;
using namespace std::chrono_literals;

constexpr Ballot kFirst{.term = Play::kTerm, .attempt = 1};
constexpr Ballot kSecond{.term = Play::kTerm, .attempt = 2};
using Players = std::vector<int>;

// --- gathering

TEST(MembershipTest, BeginsOnceEveryWorkerIsThere) {
  Play play(3);
  play.enter(2);
  play.enter(0);
  EXPECT_TRUE(play.machine.gathering());
  EXPECT_TRUE(play.sent_to<Seal>(0).empty());
  play.enter(1);
  EXPECT_EQ(play.machine.epoch_ballot(), kFirst);
  EXPECT_EQ(play.events("worker_joined").size(), 3U);
  ASSERT_EQ(play.events("epoch").size(), 1U);
  EXPECT_EQ(play.events("epoch")[0].detail, "3 workers");
  for (int player = 0; player < 3; ++player) {
    EXPECT_TRUE(play.sent_to<Copy>(player).empty()) << "it starts with the others";
    const auto epochs = play.sent_to<Epoch>(player);
    ASSERT_EQ(epochs.size(), 1U);
    EXPECT_EQ(epochs[0].resume_step, 0);
    ASSERT_EQ(epochs[0].members.size(), 3U);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(epochs[0].members[i], (Member{.uuid = play.players[i].uuid,
                                              .rank = i,
                                              .host = "node",
                                              .pid = Play::pid_of(i),
                                              .meeting_place = "socket",
                                              .donor = {}}));
    }
  }
}

TEST(MembershipTest, JournalsTheEpochBeforeAnybodyIsTold) {
  Play play(2);
  play.enter_all();
  const auto journalled = std::find_if(play.actions.begin(), play.actions.end(),
                                       [](const Action& action) { return std::holds_alternative<Append>(action); });
  const auto told = std::find_if(play.actions.begin(), play.actions.end(), [](const Action& action) {
    const Send* send = std::get_if<Send>(&action);
    return send != nullptr && std::holds_alternative<Epoch>(send->body);
  });
  ASSERT_NE(journalled, play.actions.end());
  EXPECT_LT(journalled, told);
  const auto records = play.journalled<EpochRecord>();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].ballot, kFirst);
  EXPECT_EQ(records[0].epoch, play.sent_to<Epoch>(1).at(0));
}

TEST(MembershipTest, RegisteringTwiceIsRegisteringOnce) {
  Play play(2);
  play.enter(0);
  play.enter(0);
  EXPECT_TRUE(play.sent_to<Refuse>(0).empty());
  EXPECT_EQ(play.events("worker_joined").size(), 1U);
}

TEST(MembershipTest, RefusesARankThatIsTaken) {
  Play play(2);
  play.enter_agent();
  const int intruder = play.newcomer(0, 77);
  play.enter(0);
  play.enter(intruder);
  ASSERT_EQ(play.sent_to<Refuse>(intruder).size(), 1U);
  EXPECT_EQ(play.sent_to<Refuse>(intruder)[0].reason, "rank 0 is taken by pid 4240 on node");
  play.enter(1);  // the run goes on without it
  EXPECT_EQ(play.sent_to<Epoch>(0).size(), 1U);
  EXPECT_TRUE(play.sent_to<Epoch>(intruder).empty());
  play.ended(intruder, 1, 0);
  play.pass(1s);
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
  EXPECT_TRUE(play.events("worker_lost").empty());
}

TEST(MembershipTest, RefusesARankOutsideOfTheRun) {
  Play play(2);
  for (const std::int32_t rank : {-2, 2}) {
    const int intruder = play.newcomer(rank, 77);
    play.enter(intruder);
    ASSERT_EQ(play.sent_to<Refuse>(intruder).size(), 1U);
    EXPECT_EQ(play.sent_to<Refuse>(intruder)[0].reason,
              "rank " + std::to_string(rank) + " is outside of this run of 2 workers");
  }
}

TEST(MembershipTest, TakesNoMoreWorkersThanThereAreLogicalShards) {
  Play play(MembershipOptions{.world = 2, .max_workers = 3, .steps = Play::kSteps, .limits = {}});
  play.enter_all();
  const int third = play.newcomer(-1, 70);
  const int fourth = play.newcomer(-1, 71);
  play.enter(third);
  EXPECT_TRUE(play.sent_to<Refuse>(third).empty());
  play.enter(fourth);
  EXPECT_EQ(play.sent_to<Refuse>(fourth).at(0).reason,
            "the run has 3 workers already, as many as train.logical_shards allows");
  play.killed(1);
  const int fifth = play.newcomer(-1, 72);
  play.enter(fifth);
  EXPECT_TRUE(play.sent_to<Refuse>(fifth).empty()) << "there is a place again";
}

TEST(MembershipTest, StopsWhenAWorkerDiffers) {
  Play play(3);
  play.enter_agent();
  play.enter(0, "A");
  play.enter(1, "B");
  const std::string reason = "worker 1 (pid 4241) does not fit the run: build: 'B' here, 'A' there";
  ASSERT_EQ(play.sent_to<Refuse>(1).size(), 1U);
  EXPECT_EQ(play.sent_to<Refuse>(1)[0].reason, reason);
  EXPECT_EQ(play.stop_of(0), reason);
  EXPECT_EQ(play.sent_to<Stop>(play.agent).size(), 1U);
  play.enter(2, "A");  // too late
  EXPECT_EQ(play.sent_to<Refuse>(2)[0].reason, "the run is stopping: " + reason);
  play.leave(0, 1, "told to stop");
  EXPECT_EQ(play.exit_code(), 2);
  EXPECT_EQ(play.reason(), reason);
}

TEST(MembershipTest, NamesWhoDidNotRegisterInTime) {
  Play play(4, {.start_timeout = 60});
  play.enter(0);
  play.enter(1);
  play.pass(60s);
  EXPECT_EQ(play.reason(), "not ended");
  play.pass(1s);
  EXPECT_EQ(play.stop_of(0), "2 of 4 workers have not registered after 60 s: ranks 2, 3");
  play.leave(0, 1);
  play.leave(1, 1);
  EXPECT_EQ(play.exit_code(), 1);
}

TEST(MembershipTest, NamesAWorkerThatDiesBeforeItRegisters) {
  Play play(2);
  play.enter_agent();
  play.enter(0);
  play.ended(1, 0, 11);
  EXPECT_EQ(play.stop_of(0), "worker 1 (pid 4241) was killed by signal 11 (SIGSEGV) before it registered");
}

TEST(MembershipTest, WaitsForWhoComesInItsPlace) {
  Play play(2);
  play.enter_agent();
  play.enter(0);
  play.ended(1, 0, 11, /*replaced=*/true);
  play.pass(1s);
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
  EXPECT_EQ(play.events("worker_lost").size(), 1U);
  play.enter(play.newcomer(1, 77));
  EXPECT_EQ(play.members(), (Players{0, 2}));
}

TEST(MembershipTest, WhoDiesWhileOthersAreAwaitedIsReplacedToo) {
  Play play(3);
  play.enter_agent();
  play.enter(0);
  play.enter(1);
  play.killed(1, /*replaced=*/true);
  play.enter(2);
  EXPECT_TRUE(play.members().empty());
  play.enter(play.newcomer(1, 77));
  EXPECT_EQ(play.members(), (Players{0, 3, 2}));
}

TEST(MembershipTest, WrongInputBeforeRegisteringIsExitCode2) {
  Play play(2);
  play.enter_agent();
  play.ended(0, 2, 0);
  play.pass(1s);
  EXPECT_EQ(play.exit_code(), 2);
}

// --- losing workers

TEST(MembershipTest, WhenAWorkerIsKilledTheOthersGoOn) {
  Play play(3);
  play.enter_all();
  play.steps(16);
  play.beat(1, 17, Phase::kForwardBackward);
  play.killed(1);
  for (const int player : {0, 2}) {
    EXPECT_EQ(play.sent_to<Seal>(player).back().at_step, -1);
    ASSERT_EQ(play.sent_to<Epoch>(player).size(), 2U);
    EXPECT_TRUE(play.sent_to<Stop>(player).empty());
  }
  const EpochRecord epoch = play.journalled<EpochRecord>().back();
  EXPECT_EQ(epoch.ballot, kSecond);
  EXPECT_EQ(epoch.epoch.resume_step, 16);
  EXPECT_EQ(epoch.epoch.donors, (std::vector<Uuid>{play.players[0].uuid, play.players[2].uuid}));
  ASSERT_EQ(play.members(), (Players{0, 2}));
  EXPECT_EQ(epoch.epoch.members[1].rank, 1) << "its place in the epoch";
  const auto lost = play.events("worker_lost");
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0], (Event{.kind = "worker_lost",
                            .worker = play.players[1].uuid,
                            .rank = 1,
                            .ballot = kFirst,
                            .step = 17,
                            .detail = "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) at step 17"}));
  EXPECT_EQ(play.events("epoch").back().detail, "2 workers, from step 16, donors 0, 2");
  EXPECT_EQ(play.events("epoch").back().ballot, kSecond);
  EXPECT_EQ(play.told(),
            std::vector<std::string>{"step 17: worker 1 (pid 4241) was killed by signal 9 (SIGKILL); 2 workers go on"});
  EXPECT_EQ(play.reason(), "not ended");
}

TEST(MembershipTest, TwoDeathsAtOnce) {
  Play play(4);
  play.enter_all();
  play.steps(16);
  play.players[1].answers = play.players[0].answers = false;
  play.killed(1);
  play.killed(0);
  EXPECT_EQ(play.members(), (Players{2, 3}));
  EXPECT_EQ(play.journalled<EpochRecord>().back().epoch.resume_step, 16);
  EXPECT_EQ(play.told().back(), "step 16: worker 0 (pid 4240) was killed by signal 9 (SIGKILL); 2 workers go on");
}

TEST(MembershipTest, AReplacementComesInBetweenSteps) {
  Play play(3);
  play.enter_all();
  play.steps(16);
  play.killed(1, /*replaced=*/true);
  play.steps(18);
  const int replacement = play.newcomer(1, 4711);
  play.enter(replacement);
  EXPECT_TRUE(play.sent_to<Refuse>(replacement).empty()) << "its rank is free again";
  ASSERT_EQ(play.sent_to<Copy>(replacement).size(), 1U);
  EXPECT_EQ(play.sent_to<Copy>(replacement)[0].donors.size(), 2U);
  EXPECT_GE(play.sent_to<Seal>(0).back().at_step, 18);
  EXPECT_EQ(play.members(), (Players{0, 2, replacement})) << "behind those who were there";
  EXPECT_EQ(play.told().back(), "step 20: worker 1 (pid 4711) joined; 3 workers");
}

TEST(MembershipTest, AJoinerGetsTheNextNumber) {
  Play play(2);
  play.enter_all();
  play.steps(5);
  play.enter(play.newcomer(-1, 100));
  EXPECT_EQ(play.members(), (Players{0, 1, 2}));
  EXPECT_EQ(play.events("worker_joined").back().rank, 2);
  play.steps(9);
  play.enter(play.newcomer(-1, 101));
  EXPECT_EQ(play.events("worker_joined").back().rank, 3);
  play.killed(2);
  EXPECT_EQ(play.members(), (Players{0, 1, 3})) << "found by its pid, whatever number its agent gives it";
}

TEST(MembershipTest, WhoReplacesAJoinerHasItsNumber) {
  Play play(2);
  play.enter_all();
  const int first = play.newcomer(-1, 100);
  const int second = play.newcomer(-1, 101);
  play.enter(first);
  play.enter(second);
  play.killed(first, true);
  const int replacement = play.newcomer(-1, 102);
  play.enter(replacement);
  EXPECT_EQ(play.events("worker_joined").back().rank, 2);
  play.killed(second);
  const int another = play.newcomer(-1, 103);
  play.enter(another);
  EXPECT_EQ(play.events("worker_joined").back().rank, 4) << "it comes in nobody's place";
}

TEST(MembershipTest, JoinersThatDieBeforeTheyRegisterAreToldApart) {
  Play play(2);
  play.enter_all();
  const int first = play.newcomer(-1, 100);
  const int second = play.newcomer(-1, 101);
  play.killed(first, true);
  play.killed(second);
  play.killed(first, false);  // its agent changed its mind
  const auto lost = play.events("worker_lost");
  ASSERT_EQ(lost.size(), 2U);
  EXPECT_EQ(lost[0].rank, 2);
  EXPECT_EQ(lost[0].detail, "worker 2 (pid 100) was killed by signal 9 (SIGKILL) before it registered");
  EXPECT_EQ(lost[1].rank, 3);
  play.enter(play.newcomer(-1, 102));
  EXPECT_EQ(play.events("worker_joined").back().rank, 4);
}

TEST(MembershipTest, AJoinerThatDiffersIsRefusedAndNothingElse) {
  Play play(2);
  play.enter_all();
  const int joiner = play.newcomer(-1, 100);
  play.enter(joiner, "other");
  EXPECT_EQ(play.sent_to<Refuse>(joiner).at(0).reason,
            "this worker does not fit the run: build: 'other' here, 'same' there");
  EXPECT_EQ(play.events("worker_refused").at(0).detail,
            "pid 100 on node: this worker does not fit the run: build: 'other' here, 'same' there");
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
}

TEST(MembershipTest, WhoIsExcludedIsDeadBeforeTheEpoch) {
  Play play(3);
  play.enter_all();
  play.steps(16);
  play.closed(1);
  ASSERT_EQ(play.sent_to<Exclude>(play.agent).size(), 1U);
  const Exclude order = play.sent_to<Exclude>(play.agent)[0];
  EXPECT_EQ(order.worker, play.players[1].uuid);
  EXPECT_EQ(order.rank, 1);
  EXPECT_EQ(order.pid, 4241);
  EXPECT_EQ(order.reason, "worker 1 (pid 4241) closed its connection at step 16");
  const std::vector<QuarantineRecord> quarantined{
      {.worker = play.players[1].uuid, .reason = order.reason, .host = "node", .pid = 4241}};
  EXPECT_EQ(play.journalled<QuarantineRecord>(), quarantined);
  EXPECT_EQ(play.events("worker_excluded").at(0).detail, order.reason);
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 1U) << "it may live";
  play.pass(600ms);
  EXPECT_EQ(play.sent_to<Exclude>(play.agent).size(), 2U) << "said again";
  play.killed(1);
  EXPECT_EQ(play.members(), (Players{0, 2}));
  EXPECT_EQ(play.events("worker_lost").at(0).detail, "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) at step 16");
  EXPECT_EQ(play.told().size(), 1U);
}

TEST(MembershipTest, WhereNobodyKillsNoEpochBegins) {
  Play play(3, {.hang = 20});
  play.enter_all();
  play.steps(16, 10);
  play.closed(1);
  play.pass(22s);
  EXPECT_EQ(play.stop_of(0),
            "worker 1 (pid 4241) closed its connection at step 16, and its process on node could not be killed within "
            "20 s; the last checkpoint is of step 10: run `convoy resume ` to go on");
}

TEST(MembershipTest, WithoutAnAgentTheExcludedSayThatTheyLeave) {
  Play play(3);
  for (int player = 0; player < 3; ++player) play.enter(player);
  play.steps(16);
  play.players[1].answers = false;
  play.from(0, PeersLost{.peers = {play.players[1].uuid}});
  play.pass(7s);
  ASSERT_EQ(play.events("worker_excluded").size(), 1U);
  EXPECT_EQ(play.members(), (Players{0, 1, 2}));
  play.from(1, Leave{.exit_code = 1, .reason = "excluded from the run"});
  EXPECT_EQ(play.members(), (Players{0, 2}));
  EXPECT_EQ(play.events("worker_lost").size(), 1U);
}

TEST(MembershipTest, WithoutAnAgentAClosedConnectionIsTheEnd) {
  Play play(3);
  for (int player = 0; player < 3; ++player) play.enter(player);
  // The scheduler that rank 0 brings along under mpirun listens like an agent.
  play.from(Uuid::random(), RegisterAgent{.host = "node", .pid = Play::pid_of(0)}, {});
  play.steps(16);
  play.closed(1);
  EXPECT_EQ(play.members(), (Players{0, 2}));
  EXPECT_EQ(play.events("worker_lost").at(0).detail, "worker 1 (pid 4241) closed its connection at step 16");
}

// A line that breaks after a silence was closed by nobody.
TEST(MembershipTest, WhoseLineBreaksStaysWhileStepsAreDoneWithIt) {
  Play play(3, {.suspect = 5});
  play.enter_all();
  std::int64_t step = 1;
  const auto go_on = [&] {
    for (int i = 0; i < 6; ++i) {
      play.pass(1s);
      play.steps(step++);
      play.beat(2, step, Phase::kReducing);
    }
  };
  go_on();
  const auto line_breaks = [&] {
    play.closed(1);
    play.players[1].answers = true;
  };
  line_breaks();
  go_on();
  line_breaks();
  EXPECT_TRUE(play.events("worker_excluded").empty());
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 1U);
  play.enter(1);  // it has found the scheduler again
  go_on();
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 1U);
  play.closed(1);
  play.pass(6s);
  line_breaks();
  play.pass(1s);
  EXPECT_EQ(play.events("worker_excluded").size(), 1U) << "nothing is done with it any more";
}

TEST(MembershipTest, ALostAgentTakesItsWorkersAlong) {
  Play play(3);
  play.players[2].host = "other";
  play.enter_all();
  const Uuid second = Uuid::random();
  play.from(second, RegisterAgent{.host = "other", .pid = 1}, {});
  play.steps(16);
  play.players[2].answers = false;
  play.add(play.machine.on_closed(second, play.now));
  EXPECT_EQ(play.members(), (Players{0, 1}));
  EXPECT_EQ(play.events("worker_lost").at(0).detail,
            "worker 2 (pid 4242) was lost with the agent of its host other at step 16");
  EXPECT_EQ(play.events("agent_lost").size(), 1U);
}

TEST(MembershipTest, AWorkerThatGivesUpIsLostOnceItsProcessHasEnded) {
  Play play(2);
  play.enter_all();
  play.steps(6);
  play.leave(1, 1, "cannot read train.bin: Input/output error");
  EXPECT_EQ(play.members(), (Players{0, 1}));
  EXPECT_EQ(play.events("worker_left").at(0).detail, "exit code 1: cannot read train.bin: Input/output error");
  play.ended(1, 1, 0);
  EXPECT_EQ(play.members(), (Players{0}));
  EXPECT_EQ(play.events("worker_lost").at(0).detail,
            "worker 1 (pid 4241) gave up at step 6: cannot read train.bin: Input/output error");
  play.pass(1s);
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
}

TEST(MembershipTest, WhatWouldBefallEveryWorkerStopsTheRun) {
  Play play(2);
  play.enter_all();
  play.leave(1, 1, "the loss is NaN at step 7", /*ends_run=*/true);
  EXPECT_EQ(play.stop_of(0), "worker 1: the loss is NaN at step 7");
  play.leave(0, 1, "told to stop");
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_EQ(play.reason(), "worker 1: the loss is NaN at step 7");
}

TEST(MembershipTest, WhatStopsTheRunMayComeAfterItsProcessEnded) {
  Play play(2);
  play.enter_all();
  play.ended(1, 1, 0);
  play.leave(1, 1, "the loss is NaN at step 7", /*ends_run=*/true);
  EXPECT_EQ(play.stop_of(0), "worker 1: the loss is NaN at step 7");
}

TEST(MembershipTest, WrongInputIsExitCode2AtOnce) {
  Play play(2);
  play.enter_all();
  play.leave(1, 2, "train.bin is truncated");
  EXPECT_EQ(play.stop_of(0), "worker 1: train.bin is truncated");
  play.leave(0, 1);
  EXPECT_EQ(play.exit_code(), 2);
}

TEST(MembershipTest, WorkersThatLostAPeerAreSealed) {
  Play play(3);
  play.enter_all();
  play.steps(16);
  play.from(0, PeersLost{.peers = {play.players[1].uuid}});
  play.from(play.players[2].uuid, PeersLost{.peers = {}}, kFirst);  // of the same epoch, but late
  EXPECT_EQ(play.members(), (Players{0, 1, 2}));
  EXPECT_EQ(play.machine.epoch_ballot(), kSecond);
}

TEST(MembershipTest, AStepThatWasReportedIsAStepOfEveryWorker) {
  Play play(2);
  play.enter_all();
  play.beat(1, 3, Phase::kForwardBackward);
  play.steps(17);
  play.killed(1);
  EXPECT_EQ(play.events("worker_lost").at(0).step, 17);
}

TEST(MembershipTest, MessagesOfAnotherBallotAreIgnored) {
  constexpr Ballot kOld{.term = Play::kTerm, .attempt = 0};
  Play play(2);
  play.enter_all();
  const auto message = [&](const Ballot& ballot, const Uuid& sender) {
    return Message{.ballot = ballot, .sender = sender, .body = FinalReport{}};
  };
  EXPECT_TRUE(play.machine.may_report(message(kFirst, play.players[0].uuid)));
  EXPECT_FALSE(play.machine.may_report(message(kOld, play.players[0].uuid)));
  EXPECT_FALSE(play.machine.may_report(message(kFirst, play.players[1].uuid))) << "rank 0 reports";
  EXPECT_FALSE(play.machine.may_report(message(kFirst, Uuid::random())));

  play.from(play.players[1].uuid, Heartbeat{.step = 99, .phase = Phase::kReducing}, kOld);
  play.killed(0);
  EXPECT_EQ(play.events("worker_lost").at(0).detail,
            "worker 0 (pid 4240) was killed by signal 9 (SIGKILL) before step 1");
  EXPECT_TRUE(play.machine.may_report(message(kSecond, play.players[1].uuid))) << "it is rank 0 now";
}

// Whoever led when they were applied may be gone, or not have come to enter the epoch.
TEST(MembershipTest, StepsThatTheEpochHasBehindItAreReportedByAnyMember) {
  Play play(3);
  play.enter_all();
  play.steps(17);
  play.killed(0);
  ASSERT_EQ(play.members(), (Players{1, 2}));
  const auto report = [&](std::int64_t step, int player) {
    return Message{.ballot = kFirst, .sender = play.players[player].uuid, .body = StepReport{.step = step}};
  };
  EXPECT_TRUE(play.machine.may_report(report(17, 2)));
  EXPECT_FALSE(play.machine.may_report(report(18, 2)));
  EXPECT_FALSE(play.machine.may_report(report(17, 0))) << "it is no member";
}

// --- an engine that cannot be rebuilt

TEST(MembershipTest, WithoutRebuildingADeathStopsTheRun) {
  Play play(MembershipOptions{.world = 3, .steps = Play::kSteps, .rebuilds = false, .limits = {}});
  play.enter_all();
  play.beat(1, 17, Phase::kForwardBackward);
  play.from(0, PeersLost{.peers = {play.players[1].uuid}});
  play.killed(1);
  const std::string reason = "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) at step 17";
  EXPECT_EQ(play.stop_of(0), reason);
  EXPECT_EQ(play.stop_of(2), reason);
  EXPECT_TRUE(play.sent_to<Stop>(1).empty());
  EXPECT_EQ(play.sent_to<Stop>(play.agent)[0], (Stop{.exit_code = 1, .reason = reason}));
  EXPECT_EQ(play.sent_to<Seal>(0).size(), 1U);
  play.leave(0, 1);
  play.ended(2, 1, 0);
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_EQ(play.reason(), reason);
}

TEST(MembershipTest, WithoutRebuildingADeathIsNamedRatherThanWhatItCaused) {
  Play play(MembershipOptions{.world = 2, .steps = Play::kSteps, .rebuilds = false, .limits = {}});
  play.enter_all();
  play.leave(0, 1, "worker 1 is gone");  // noticed before the agent did
  play.pass(100ms);
  EXPECT_TRUE(play.events("run_stopped").empty());
  play.killed(1);
  EXPECT_EQ(play.reason(), "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) before step 1");
}

TEST(MembershipTest, WithoutRebuildingAClosedConnectionIsALossUnlessItsReasonArrives) {
  const MembershipOptions options{.world = 2, .steps = Play::kSteps, .rebuilds = false, .limits = {}};
  Play silent(options);
  silent.enter_all();
  silent.closed(1);
  silent.pass(500ms);
  EXPECT_EQ(silent.stop_of(0), "worker 1 (pid 4241) closed its connection before step 1");

  Play known(options);
  known.enter_all();
  known.closed(1);
  known.killed(1);
  EXPECT_EQ(known.stop_of(0), "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) before step 1");
}

TEST(MembershipTest, WithoutRebuildingNobodyJoins) {
  Play play(MembershipOptions{.world = 2, .steps = Play::kSteps, .rebuilds = false, .limits = {}});
  play.enter_all();
  const int joiner = play.newcomer(-1, 100);
  play.enter(joiner);
  EXPECT_EQ(play.sent_to<Refuse>(joiner).at(0).reason,
            "the run has begun, and its engine (mpi) cannot take in workers while it goes on");
}

TEST(MembershipTest, ARunNeedsAWorker) { EXPECT_THROW(Membership({.world = 0, .limits = {}}, {}, Time{}), Error); }

}  // namespace
}  // namespace convoy::scheduler
