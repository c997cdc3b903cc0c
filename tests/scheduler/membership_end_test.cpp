// How a run ends.
#include <gtest/gtest.h>

#include "scheduler/membership.h"
#include "tests/scheduler/membership_play.h"

namespace convoy::scheduler {
namespace {

using namespace cluster;
using namespace std::chrono_literals;
using Players = std::vector<int>;

// --- complete

TEST(MembershipEndTest, ARunIsDoneWhenItIsReportedAndAllHaveLeft) {
  Play play(2);
  play.enter_all();
  play.steps(Play::kSteps);
  play.add(play.machine.on_final_recorded(play.now));
  play.leave(0);
  EXPECT_EQ(play.reason(), "not ended");
  play.leave(1);
  play.ended(0, 0, 0);
  EXPECT_EQ(play.exit_code(), 0);
  EXPECT_EQ(play.reason(), "");
  EXPECT_EQ(play.events("run_finished").size(), 1U);
  EXPECT_EQ(play.sent_to<Stop>(play.agent), (std::vector<Stop>{{.exit_code = 0, .reason = ""}}));
}

TEST(MembershipEndTest, WhoDiesBeforeTheReportIsMissed) {
  Play play(2);
  play.enter_all();
  play.steps(Play::kSteps);
  play.killed(0);
  EXPECT_EQ(play.members(), (Players{1})) << "somebody has to report";
}

TEST(MembershipEndTest, WhoDiesAfterTheReportIsNot) {
  Play play(2);
  play.enter_all();
  play.steps(Play::kSteps);
  play.add(play.machine.on_final_recorded(play.now));
  play.leave(0);
  play.killed(1);
  EXPECT_EQ(play.exit_code(), 0);
}

TEST(MembershipEndTest, AReportThatComesWhileSealingIsAReport) {
  Play play(3);
  play.enter_all();
  play.steps(Play::kSteps);
  play.players[2].answers = false;
  play.killed(1);
  play.add(play.machine.on_final_recorded(play.now));
  play.leave(0);
  play.leave(2);
  EXPECT_EQ(play.exit_code(), 0);
}

TEST(MembershipEndTest, WhoDoesNotLeaveIsNotWaitedForForever) {
  Play play(2, {.hang = 30});
  play.enter_all();
  play.add(play.machine.on_final_recorded(play.now));
  play.leave(0);
  play.pass(30s);
  EXPECT_EQ(play.reason(), "not ended");
  play.pass(1s);
  EXPECT_EQ(play.exit_code(), 0);
}

TEST(MembershipEndTest, WithoutRebuildingARunThatWasNotReportedIsNotDone) {
  Play play(MembershipOptions{.world = 2, .steps = Play::kSteps, .rebuilds = false, .limits = {}});
  play.enter_all();
  play.leave(0);
  play.leave(1);
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_EQ(play.reason(), "all workers left before the run was complete");
}

// --- too few workers

TEST(MembershipEndTest, WithoutWorkersTheRunEnds) {
  Play play(2);
  play.enter_all();
  play.steps(17);
  play.killed(0);
  play.killed(1);
  play.tick();
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_EQ(play.reason(),
            "all workers are lost: worker 1 (pid 4241) was killed by signal 9 (SIGKILL) at step 17; there is no "
            "checkpoint to go on from");
  EXPECT_EQ(play.sent_to<Stop>(play.agent).size(), 1U);
}

TEST(MembershipEndTest, WithoutWorkersTheLastCheckpointIsNamed) {
  Play play(1, {}, {.run_directory = "out"});
  play.enter_all();
  play.steps(17, 10);
  play.killed(0);
  play.tick();
  EXPECT_EQ(play.exit_code(), 75);
  EXPECT_EQ(
      play.reason(),
      "all workers are lost: worker 0 (pid 4240) was killed by signal 9 (SIGKILL) at step 17; the last checkpoint "
      "is of step 10: run `convoy resume out` to go on");
}

TEST(MembershipEndTest, TheRunWaitsForWhoComesInTheirPlace) {
  Play play(1, {.too_few = 60});
  play.enter_all();
  play.steps(17, 10);
  play.killed(0, /*replaced=*/true);
  play.pass(50s);
  EXPECT_EQ(play.reason(), "not ended");
  EXPECT_EQ(play.told().back(),
            "step 17: worker 0 (pid 4240) was killed by signal 9 (SIGKILL); the run waits for workers to come");
  const int replacement = play.newcomer(0, 4711);
  play.enter(replacement);
  EXPECT_EQ(play.members(), (Players{replacement}));
  EXPECT_EQ(play.events("epoch").back().detail, "1 worker, from the checkpoint of step 10");
}

TEST(MembershipEndTest, AnAgentThatGivesUpSaysSo) {
  Play play(1, {.too_few = 60});
  play.enter_all();
  play.killed(0, /*replaced=*/true);
  play.pass(1s);
  EXPECT_EQ(play.reason(), "not ended");
  play.killed(0, /*replaced=*/false);
  play.tick();
  EXPECT_EQ(play.exit_code(), 1);
}

TEST(MembershipEndTest, TheRunDoesNotWaitForEver) {
  Play play(1, {.too_few = 60});
  play.enter_all();
  play.killed(0, /*replaced=*/true);
  play.pass(62s);
  EXPECT_EQ(play.exit_code(), 1);
}

// Three workers of whom two are needed, after step 17, with a checkpoint after step 10; worker 1 and 2 are dead.
Play with_too_few() {
  Play play(MembershipOptions{.world = 3, .min_workers = 2, .steps = Play::kSteps, .limits = {.too_few = 60}},
            {.run_directory = "out"});
  play.enter_all();
  play.steps(17, 10);
  play.killed(1);
  play.killed(2);
  return play;
}
const std::string kTooFew =
    "worker 2 (pid 4242) was killed by signal 9 (SIGKILL) at step 17; 1 of at least 2 workers is left and none came "
    "for 60 s";

TEST(MembershipEndTest, WithTooFewWorkersTheStateIsSaved) {
  Play play = with_too_few();
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 2U) << "the first death leaves two";
  play.pass(61s);
  EXPECT_EQ(play.sent_to<Stop>(0), (std::vector<Stop>{{.exit_code = 75, .save = true, .reason = kTooFew}}));
  EXPECT_EQ(play.sent_to<FinishStep>(play.agent), std::vector<FinishStep>{{.reason = kTooFew}});
  EXPECT_TRUE(play.machine.may_report({.ballot = {}, .sender = play.players[0].uuid, .body = StepReport{}}))
      << "what it has done and was not recorded must be, before its checkpoint";
  play.from(0, EventReport{.kind = "checkpoint", .step = 17, .detail = "folder"});
  EXPECT_EQ(play.reason(), "not ended");
  play.leave(0, 75);
  EXPECT_EQ(play.exit_code(), 75);
  EXPECT_EQ(play.reason(), kTooFew + "; the last checkpoint is of step 17: run `convoy resume out` to go on");
  EXPECT_EQ(play.sent_to<Stop>(play.agent).at(0).reason, play.reason());
}

TEST(MembershipEndTest, EnoughWorkersInTimeGoOn) {
  Play play = with_too_few();
  play.pass(30s);
  play.enter(play.newcomer(1, 4711));
  EXPECT_EQ(play.members(), (Players{0, 3}));
  play.pass(40s);
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
}

TEST(MembershipEndTest, WhoCannotSaveLeavesItToAnother) {
  Play play(MembershipOptions{.world = 3, .min_workers = 3, .steps = Play::kSteps, .limits = {.too_few = 1}});
  play.enter_all();
  play.steps(17, 10);
  play.killed(1);
  play.pass(2s);
  ASSERT_EQ(play.sent_to<Stop>(0).size(), 1U);
  EXPECT_TRUE(play.sent_to<Stop>(2).empty());
  play.killed(0);
  ASSERT_EQ(play.sent_to<Stop>(2).size(), 1U);
  EXPECT_TRUE(play.sent_to<Stop>(2)[0].save);
  play.from(2, EventReport{.kind = "checkpoint", .step = 17, .detail = "folder"});
  play.leave(2, 75);
  EXPECT_EQ(play.exit_code(), 75);
}

TEST(MembershipEndTest, OnceTheStateIsSavedTheOthersStop) {
  Play play(MembershipOptions{.world = 3, .min_workers = 3, .steps = Play::kSteps, .limits = {.too_few = 1}});
  play.enter_all();
  play.steps(17);
  play.killed(1);
  play.pass(2s);
  play.from(0, EventReport{.kind = "checkpoint", .step = 17, .detail = "folder"});
  EXPECT_EQ(play.sent_to<Stop>(0).size(), 1U) << "it knows";
  ASSERT_EQ(play.sent_to<Stop>(2).size(), 1U);
  EXPECT_FALSE(play.sent_to<Stop>(2)[0].save);
  EXPECT_EQ(play.sent_to<Stop>(2)[0].exit_code, 75);
}

TEST(MembershipEndTest, WhoDoesNotSaveIsNotWaitedForForever) {
  Play play(
      MembershipOptions{.world = 2, .min_workers = 2, .steps = Play::kSteps, .limits = {.hang = 5, .too_few = 1}});
  play.enter_all();
  play.steps(17);
  play.killed(1);
  play.pass(20s);
  EXPECT_EQ(play.exit_code(), 1);
}

TEST(MembershipEndTest, TwoHistoriesEndTheRun) {
  Play play(2);
  play.enter_all();
  play.steps(17);
  play.players[1].standing.chain = 42;
  play.from(0, PeersLost{.peers = {}});
  EXPECT_EQ(play.stop_of(0),
            "the workers' copies of the state after step 17 differ, and no majority says which is right; there is no "
            "checkpoint to go on from");
}

TEST(MembershipEndTest, WithoutItsJournalTheRunIsSaved) {
  Play play(2);
  play.enter_all();
  play.steps(17, 10);
  play.add(play.machine.on_records_lost("cannot write journal/term-1: No space left on device", play.now));
  ASSERT_EQ(play.sent_to<Stop>(0).size(), 1U);
  EXPECT_TRUE(play.sent_to<Stop>(0)[0].save);
  play.from(0, EventReport{.kind = "checkpoint", .step = 17, .detail = "folder"});
  EXPECT_EQ(play.sent_to<Stop>(1).at(0).exit_code, 75);
  EXPECT_TRUE(play.journalled<CheckpointRecord>().size() == 1U) << "of step 10";
}

TEST(MembershipEndTest, ASchedulerOfALaterTermEndsThisOneQuietly) {
  Play play(2);
  play.enter_all();
  play.actions.clear();
  play.machine.on_superseded("another scheduler of this run has begun");
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_TRUE(play.actions.empty());
}

// --- a signal

TEST(MembershipEndTest, WhoLeavesAsToldIsNotLost) {
  Play play(2);
  play.enter_all();
  play.from_agent(StopRequest{.reason = "stopped by SIGINT"});
  play.ended(0, 1, 0);  // its end overtook its Leave
  play.killed(1);
  ASSERT_EQ(play.events("worker_lost").size(), 1U);
  EXPECT_EQ(play.events("worker_lost")[0].rank, 1);
}

TEST(MembershipEndTest, AStopRequestEndsTheRunInOrder) {
  Play play(2);
  play.enter_all();
  play.from_agent(StopRequest{.reason = "stopped by SIGINT"});
  play.from_agent(StopRequest{.reason = "stopped by SIGTERM"});
  EXPECT_EQ(play.sent_to<Stop>(0), (std::vector<Stop>{{.exit_code = 1, .reason = "stopped by SIGINT"}}));
  EXPECT_EQ(play.stop_of(1), "stopped by SIGINT");
  play.pass(5s);
  EXPECT_EQ(play.reason(), "not ended");
  play.leave(0);
  play.leave(1);
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_EQ(play.reason(), "stopped by SIGINT");
}

TEST(MembershipEndTest, ARunWithStepsToLoseFinishesTheStepAndLeavesOnce) {
  Play play(2, {}, {.run_directory = "out"});
  play.enter_all();
  play.steps(7, 5);
  play.from_agent(StopRequest{.reason = "stopped by SIGTERM"});
  for (int player : {0, 1}) {
    EXPECT_EQ(play.sent_to<FinishStep>(player), std::vector<FinishStep>{{.reason = "stopped by SIGTERM"}});
    EXPECT_TRUE(play.sent_to<Stop>(player).empty());
  }
  EXPECT_EQ(play.sent_to<FinishStep>(play.agent).size(), 1U);
  play.from(1, StopRequest{.reason = "stopped by SIGUSR2"});
  EXPECT_EQ(play.sent_to<FinishStep>(1).size(), 2U) << "it says it again until it hears";
  play.leave(1, 75);
  play.ended(1, 75, 0);
  EXPECT_EQ(play.reason(), "not ended");
  play.ended(0, 75, 0);  // its end overtook its Leave
  EXPECT_EQ(play.reason(), "not ended");
  play.leave(0, 75, "after step 8; checkpoint out/checkpoints/step-8; run `convoy resume out` to go on");
  const std::string reason =
      "stopped by SIGTERM after step 8; checkpoint out/checkpoints/step-8; run `convoy resume out` to go on";
  EXPECT_EQ(play.exit_code(), 75);
  EXPECT_EQ(play.reason(), reason);
  EXPECT_EQ(play.sent_to<Stop>(play.agent), (std::vector<Stop>{{.exit_code = 75, .reason = reason}}));
  EXPECT_TRUE(play.events("worker_lost").empty());
}

TEST(MembershipEndTest, WhoJoinsWhileAWishStandsHearsOfIt) {
  Play play(2);
  play.enter_all();
  play.steps(7);
  play.from_agent(StopRequest{.reason = "stopped by SIGTERM"});
  const int joiner = play.newcomer(-1, 100);
  play.enter(joiner);
  EXPECT_EQ(play.sent_to<FinishStep>(joiner).size(), 1U);
}

TEST(MembershipEndTest, WhoAsksBeforeItRegistersIsAnswered) {
  Play play(2);
  play.enter_all();
  const int newcomer = play.newcomer(-1, 100);
  play.steps(16);
  play.from(newcomer, StopRequest{.reason = "stopped by SIGTERM"});
  EXPECT_EQ(play.sent_to<FinishStep>(newcomer).size(), 1U);
  EXPECT_EQ(play.sent_to<FinishStep>(0).size(), 1U);
  Play saved(2);
  saved.enter_all();
  const int other = saved.newcomer(-1, 100);
  saved.steps(16, /*checkpoint=*/16);
  saved.from(other, StopRequest{.reason = "stopped by SIGTERM"});
  EXPECT_EQ(saved.sent_to<Stop>(other).at(0).exit_code, 75) << "there is nothing to finish";
}

TEST(MembershipEndTest, ARunThatIsAboutToStopLetsNobodyIn) {
  Play play(2);
  play.enter_all();
  play.steps(16);
  play.from_agent(StopRequest{.reason = "stopped by SIGTERM"});
  play.enter(play.newcomer(-1, 100));
  play.pass(1s);
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 1U);
  EXPECT_TRUE(play.sent_to<Seal>(0).empty() || play.sent_to<Seal>(0).back().at_step < 0);
}

TEST(MembershipEndTest, WhatACheckpointHoldsIsNotLostByStoppingAtOnce) {
  const std::string reason =
      "stopped by SIGTERM after step 5, of which there is a checkpoint; run `convoy resume out` "
      "to go on";
  Play right_after(2, {}, {.run_directory = "out"});
  right_after.enter_all();
  right_after.steps(5, 5);
  Play resumed(2, {}, {.step = 5, .run_directory = "out"});
  resumed.enter_all();
  EXPECT_EQ(resumed.sent_to<Epoch>(1).at(0).resume_step, 5);
  Play gathering(2, {}, {.step = 5, .run_directory = "out"});
  gathering.enter(0);
  for (Play* play : {&right_after, &resumed, &gathering}) {
    play->from_agent(StopRequest{.reason = "stopped by SIGTERM"});
    EXPECT_EQ(play->sent_to<Stop>(0), (std::vector<Stop>{{.exit_code = 75, .reason = reason}}));
  }
}

TEST(MembershipEndTest, AProgramsOwnRunGoesOnWithThatProgram) {
  Play play(2, {}, {.step = 5, .run_directory = "out", .program = "mine"});
  play.enter_all();
  play.from_agent(StopRequest{.reason = "stopped by SIGTERM"});
  EXPECT_EQ(play.stop_of(1),
            "stopped by SIGTERM after step 5, of which there is a checkpoint; run `mine resume out` to go on");
}

TEST(MembershipEndTest, WhoDoesNotFinishItsStepIsNotWaitedForForever) {
  Play play(2, {.hang = 30});
  play.enter_all();
  play.steps(7, 5);
  play.from_agent(StopRequest{.reason = "stopped by SIGTERM"});
  for (int i = 0; i < 40; ++i) {
    play.beat(0, 8, Phase::kCheckpointing);
    play.beat(1, 8, Phase::kWaiting);
    play.pass(1s);
  }
  EXPECT_EQ(play.sent_to<Stop>(0).size(), 0U) << "a checkpoint takes the time it takes";
  play.beat(0, 8, Phase::kReducing);
  play.pass(1s);
  EXPECT_EQ(play.stop_of(1),
            "stopped by SIGTERM after step 7, and no checkpoint was written within 30 s; the last one is of step 5");
}

TEST(MembershipEndTest, ADeathWhileFinishingLeavesItToTheOthers) {
  Play play(3);
  play.enter_all();
  play.steps(7, 5);
  play.from_agent(StopRequest{.reason = "stopped by SIGTERM"});
  play.killed(0);
  EXPECT_EQ(play.members(), (Players{1, 2}));
  play.leave(2, 75);
  play.leave(1, 75, "after step 7; checkpoint folder");
  EXPECT_EQ(play.exit_code(), 75);
  EXPECT_EQ(play.reason(), "stopped by SIGTERM after step 7; checkpoint folder");
}

TEST(MembershipEndTest, WhoHasLeftAsWishedIsNotAskedAnyMore) {
  Play play(3);
  play.enter_all();
  play.steps(7, 5);
  play.from_agent(StopRequest{.reason = "stopped by SIGTERM"});
  play.leave(2, 75);
  play.ended(2, 75, 0);
  EXPECT_EQ(play.journalled<EpochRecord>().size(), 1U) << "it is not missed";
  play.killed(0);
  EXPECT_EQ(play.members(), (Players{1}));
}

TEST(MembershipEndTest, TheDeathOfTheLastWhoStopsIsAFailure) {
  Play play(2);
  play.enter_all();
  play.steps(7);
  play.from_agent(StopRequest{.reason = "stopped by SIGTERM"});
  play.leave(1, 75);
  play.killed(0);
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_NE(play.reason().find("SIGKILL"), std::string::npos) << play.reason();
}

TEST(MembershipEndTest, AWishWhileTooFewWorkersAreLeftIsGrantedAtOnce) {
  Play play = with_too_few();
  play.from_agent(StopRequest{.reason = "stopped by SIGTERM"});
  ASSERT_EQ(play.sent_to<Stop>(0).size(), 1U);
  EXPECT_TRUE(play.sent_to<Stop>(0)[0].save);
}

TEST(MembershipEndTest, AStopRequestBeforeAnybodyCameEndsTheRun) {
  Play play(2);
  play.add(play.machine.on_stop_request(1, "stopped by SIGTERM", play.now));
  EXPECT_EQ(play.exit_code(), 1);
}

TEST(MembershipEndTest, WorkersThatDoNotLeaveAreNotWaitedForForever) {
  Play play(2, {.stop_grace = 10});
  play.enter_all();
  play.add(play.machine.on_stop_request(1, "stopped by SIGTERM", play.now));
  play.leave(0);
  play.pass(10s);
  EXPECT_EQ(play.reason(), "not ended");
  play.pass(1s);
  EXPECT_EQ(play.exit_code(), 1);
}

}  // namespace
}  // namespace convoy::scheduler
