#include "scheduler/membership.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/error.h"

namespace convoy::scheduler {
namespace {

using namespace cluster;
using namespace std::chrono_literals;

constexpr std::uint64_t kTerm = 1;
constexpr Ballot kEpochBallot{.term = kTerm, .attempt = 1};

// A Membership with `world` workers to play, an agent, and a clock that the test moves.
class Play {
 public:
  explicit Play(std::int32_t world, const Limits& limits = {}, const Past& past = {})
      : machine(kTerm, world, limits, now, past) {
    for (std::int32_t rank = 0; rank < world; ++rank) uuids.push_back(Uuid::random());
    from(agent, RegisterAgent{.host = "node", .pid = 1});
  }

  void from(const Uuid& sender, Body body, const Ballot& ballot = kEpochBallot) {
    add(machine.on_message({.ballot = ballot, .sender = sender, .body = std::move(body)}, now));
  }
  void enter(const Uuid& sender, std::int32_t rank, const std::string& build = "same") {
    Register message{.rank = rank, .host = "node", .pid = pid_of(rank), .meeting_place = "socket", .fingerprint = {}};
    message.fingerprint.add("build", build);
    from(sender, message, Ballot{});
  }
  void enter_all() {
    for (std::size_t rank = 0; rank < uuids.size(); ++rank) enter(uuids[rank], static_cast<std::int32_t>(rank));
  }
  void beat(std::int32_t rank, std::int64_t step, Phase phase, std::uint64_t activity = 0) {
    from(uuids.at(rank), Heartbeat{.step = step, .phase = phase, .activity = activity});
  }
  // Rank 0 has done the steps up to `step`, with a checkpoint after `checkpoint`.
  void steps(std::int64_t step, std::int64_t checkpoint) {
    StepReport report;
    report.step = step;
    from(uuids.at(0), report);
    if (checkpoint > 0) from(uuids.at(0), EventReport{.kind = "checkpoint", .step = checkpoint, .detail = "folder"});
  }
  void leave(std::int32_t rank, std::int32_t exit_code = 0, const std::string& reason = "") {
    from(uuids.at(rank), Leave{.exit_code = exit_code, .reason = reason, .step = 0, .peak_rss_bytes = 0});
  }
  void ended(std::int32_t rank, std::int32_t exit_code, std::int32_t signal) {
    from(agent, WorkerEnded{.rank = rank, .pid = pid_of(rank), .exit_code = exit_code, .signal = signal}, Ballot{});
  }
  void tick() { add(machine.on_tick(now)); }
  // Lets time pass as it does: with a tick at least each second.
  void pass(std::chrono::milliseconds time) {
    for (; time > 1s; time -= 1s) {
      now += 1s;
      tick();
    }
    now += time;
    tick();
  }

  static std::int32_t pid_of(std::int32_t rank) { return 4240 + rank; }
  void add(Actions more) { actions.insert(actions.end(), more.begin(), more.end()); }

  template <typename Kind>
  std::vector<Kind> sent_to(const Uuid& to) const {
    std::vector<Kind> found;
    for (const Action& action : actions) {
      const Send* send = std::get_if<Send>(&action);
      if (send != nullptr && send->to == to && std::holds_alternative<Kind>(send->body)) {
        found.push_back(std::get<Kind>(send->body));
      }
    }
    return found;
  }
  template <typename Kind>
  std::vector<Kind> sent_to(std::int32_t rank) const {
    return sent_to<Kind>(uuids.at(rank));
  }
  // The reason of the one Stop that went to `rank`, or what went wrong.
  std::string stop_of(std::int32_t rank) const {
    const auto stops = sent_to<Stop>(rank);
    return stops.size() == 1 ? stops[0].reason : std::to_string(stops.size()) + " Stops";
  }
  std::vector<Event> events(const std::string& kind) const {
    std::vector<Event> found;
    for (const Action& action : actions) {
      const Event* event = std::get_if<Event>(&action);
      if (event != nullptr && event->kind == kind) found.push_back(*event);
    }
    return found;
  }
  int exit_code() const { return machine.outcome() ? machine.outcome()->exit_code : -1; }
  std::string reason() const { return machine.outcome() ? machine.outcome()->reason : "not ended"; }

  Time now{};
  Membership machine;
  std::vector<Uuid> uuids;
  const Uuid agent = Uuid::random();
  Actions actions;
};

// --- gathering

TEST(MembershipTest, BeginsOnceEveryWorkerIsThere) {
  Play play(3);
  play.enter(play.uuids[2], 2);
  play.enter(play.uuids[0], 0);
  EXPECT_TRUE(play.machine.gathering());
  EXPECT_TRUE(play.sent_to<Epoch>(0).empty());
  play.enter(play.uuids[1], 1);
  EXPECT_EQ(play.machine.ballot(), kEpochBallot);
  EXPECT_EQ(play.events("worker_joined").size(), 3U);
  EXPECT_EQ(play.events("epoch").size(), 1U);
  for (std::int32_t rank = 0; rank < 3; ++rank) {
    const auto epochs = play.sent_to<Epoch>(rank);
    ASSERT_EQ(epochs.size(), 1U);
    EXPECT_EQ(epochs[0].resume_step, 0);
    ASSERT_EQ(epochs[0].members.size(), 3U);
    for (std::int32_t i = 0; i < 3; ++i) {
      EXPECT_EQ(
          epochs[0].members[i],
          (Member{.uuid = play.uuids[i], .rank = i, .host = "node", .pid = Play::pid_of(i), .meeting_place = "socket"}));
    }
  }
}

TEST(MembershipTest, JournalsTheEpochBeforeAnybodyIsTold) {
  Play play(2);
  play.enter_all();
  const auto journalled = std::find_if(play.actions.begin(), play.actions.end(), [](const Action& action) {
    return std::holds_alternative<JournalEpoch>(action);
  });
  const auto told = std::find_if(play.actions.begin(), play.actions.end(), [](const Action& action) {
    const Send* send = std::get_if<Send>(&action);
    return send != nullptr && std::holds_alternative<Epoch>(send->body);
  });
  ASSERT_NE(journalled, play.actions.end());
  EXPECT_LT(journalled, told);
  EXPECT_EQ(std::get<JournalEpoch>(*journalled).ballot, kEpochBallot);
  EXPECT_EQ(std::get<JournalEpoch>(*journalled).epoch.members.size(), 2U);
}

TEST(MembershipTest, RegisteringTwiceIsRegisteringOnce) {
  Play play(2);
  play.enter(play.uuids[0], 0);
  play.enter(play.uuids[0], 0);
  EXPECT_TRUE(play.sent_to<Refuse>(0).empty());
  EXPECT_EQ(play.events("worker_joined").size(), 1U);
}

TEST(MembershipTest, RefusesARankThatIsTaken) {
  Play play(2);
  const Uuid intruder = Uuid::random();
  play.enter(play.uuids[0], 0);
  play.enter(intruder, 0);
  ASSERT_EQ(play.sent_to<Refuse>(intruder).size(), 1U);
  EXPECT_EQ(play.sent_to<Refuse>(intruder)[0].reason, "rank 0 is taken by pid 4240 on node");
  play.enter(play.uuids[1], 1);  // the run goes on without it
  EXPECT_EQ(play.sent_to<Epoch>(0).size(), 1U);
  EXPECT_TRUE(play.sent_to<Epoch>(intruder).empty());
  play.from(play.agent, WorkerEnded{.rank = 0, .pid = 77, .exit_code = 1, .signal = 0});  // the intruder's process
  play.pass(1s);
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
}

TEST(MembershipTest, RefusesARankOutsideOfTheRun) {
  Play play(2);
  for (const std::int32_t rank : {-1, 2}) {
    const Uuid intruder = Uuid::random();
    play.enter(intruder, rank);
    ASSERT_EQ(play.sent_to<Refuse>(intruder).size(), 1U);
    EXPECT_EQ(play.sent_to<Refuse>(intruder)[0].reason,
              "rank " + std::to_string(rank) + " is outside of this run of 2 workers");
  }
}

TEST(MembershipTest, StopsWhenAWorkerDiffers) {
  Play play(3);
  play.enter(play.uuids[0], 0, "A");
  play.enter(play.uuids[1], 1, "B");
  const std::string reason = "worker 1 (pid 4241) differs from worker 0 in build: 'B' here, 'A' there";
  ASSERT_EQ(play.sent_to<Refuse>(1).size(), 1U);
  EXPECT_EQ(play.sent_to<Refuse>(1)[0].reason, reason);
  EXPECT_EQ(play.stop_of(0), reason);
  EXPECT_EQ(play.sent_to<Stop>(play.agent).size(), 1U);
  play.enter(play.uuids[2], 2, "A");  // too late
  EXPECT_EQ(play.sent_to<Refuse>(2)[0].reason, "the run is stopping: " + reason);
  play.leave(0, 1, "told to stop");
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_EQ(play.reason(), reason);
}

TEST(MembershipTest, NamesWhoDidNotRegisterInTime) {
  Play play(4, {.start_timeout = 60});
  play.enter(play.uuids[0], 0);
  play.enter(play.uuids[1], 1);
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
  play.enter(play.uuids[0], 0);
  play.ended(1, 0, 11);
  EXPECT_EQ(play.stop_of(0), "worker 1 (pid 4241) was killed by signal 11 (SIGSEGV) before it registered");
}

TEST(MembershipTest, WrongInputBeforeRegisteringIsExitCode2) {
  Play play(2);
  play.ended(0, 2, 0);
  play.pass(1s);
  EXPECT_EQ(play.exit_code(), 2);
}

// --- running

TEST(MembershipTest, AKilledWorkerStopsTheRunAtOnce) {
  Play play(3);
  play.enter_all();
  play.beat(1, 17, Phase::kForwardBackward);
  play.ended(1, 0, 9);
  const std::string reason = "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) at step 17";
  EXPECT_EQ(play.stop_of(0), reason);
  EXPECT_EQ(play.stop_of(2), reason);
  EXPECT_TRUE(play.sent_to<Stop>(1).empty());
  EXPECT_EQ(play.sent_to<Stop>(play.agent)[0], (Stop{.exit_code = 1, .reason = reason}));
  const auto lost = play.events("worker_lost");
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0], (Event{.kind = "worker_lost",
                            .worker = play.uuids[1],
                            .rank = 1,
                            .ballot = kEpochBallot,
                            .step = 17,
                            .detail = reason}));
  EXPECT_EQ(play.reason(), "not ended");
  play.leave(0, 1);
  play.ended(2, 1, 0);
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_EQ(play.reason(), reason);
}

TEST(MembershipTest, AStepThatWasReportedIsAStepOfEveryWorker) {
  Play play(2);
  play.enter_all();
  play.beat(1, 3, Phase::kForwardBackward);
  play.from(play.uuids[0], StepReport{.step = 17});
  play.ended(1, 0, 9);
  EXPECT_EQ(play.stop_of(0), "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) at step 17");
}

TEST(MembershipTest, ADeathIsNamedRatherThanWhatItCaused) {
  Play play(2);
  play.enter_all();
  play.leave(0, 1, "worker 1 is gone");  // noticed before the agent did
  play.pass(100ms);
  EXPECT_TRUE(play.events("run_stopped").empty());
  play.ended(1, 0, 9);
  EXPECT_EQ(play.reason(), "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) before step 1");
}

TEST(MembershipTest, AWorkerThatGivesUpStopsTheOthers) {
  Play play(2);
  play.enter_all();
  play.leave(1, 1, "the loss is NaN at step 7");
  play.pass(500ms);
  EXPECT_EQ(play.stop_of(0), "worker 1: the loss is NaN at step 7");
  play.leave(0, 1, "told to stop");
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_EQ(play.reason(), "worker 1: the loss is NaN at step 7");
}

TEST(MembershipTest, WrongInputIsExitCode2AtOnce) {
  Play play(2);
  play.enter_all();
  play.leave(1, 2, "train.bin is truncated");
  EXPECT_EQ(play.stop_of(0), "worker 1: train.bin is truncated");
  play.leave(0, 1);
  EXPECT_EQ(play.exit_code(), 2);
}

struct Exit {
  std::int32_t code;
  std::string text;
};
class ExitTest : public testing::TestWithParam<Exit> {};
INSTANTIATE_TEST_SUITE_P(Codes, ExitTest,
                         testing::Values(Exit{0, "exited with code 0"}, Exit{3, "exited with code 3"}));

TEST_P(ExitTest, WithoutALeaveIsALoss) {
  Play play(2);
  play.enter_all();
  play.ended(1, GetParam().code, 0);
  EXPECT_EQ(play.events("worker_lost").size(), 1U);
  play.pass(500ms);
  EXPECT_EQ(play.stop_of(0), "worker 1 (pid 4241) " + GetParam().text + " before step 1");
}

TEST(MembershipTest, ALeaveMayArriveAfterItsProcessEnded) {
  Play play(2);
  play.enter_all();
  play.from(play.uuids[0], FinalReport{});
  play.leave(0);
  play.ended(1, 0, 0);
  play.pass(100ms);
  play.leave(1);
  EXPECT_EQ(play.exit_code(), 0);
}

TEST(MembershipTest, AClosedConnectionIsALossUnlessItsReasonArrives) {
  Play silent(2);
  silent.enter_all();
  silent.add(silent.machine.on_closed(silent.uuids[1], silent.now));
  silent.pass(500ms);
  EXPECT_EQ(silent.stop_of(0), "worker 1 (pid 4241) closed its connection before step 1");

  Play known(2);
  known.enter_all();
  known.add(known.machine.on_closed(known.uuids[1], known.now));
  known.ended(1, 0, 9);
  EXPECT_EQ(known.stop_of(0), "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) before step 1");
}

TEST(MembershipTest, SilenceIsALoss) {
  Play play(2, {.suspect = 5});
  play.enter_all();
  for (int i = 0; i < 5; ++i) {
    play.pass(1s);
    play.beat(0, 3, Phase::kReducing);
    if (i == 0) play.beat(1, 3, Phase::kForwardBackward);
  }
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
  play.pass(2s);
  EXPECT_EQ(play.stop_of(0),
            "worker 1 (pid 4241) has been silent for 6 s; it was last in phase forward_backward of step 3");
  EXPECT_EQ(play.stop_of(1), play.stop_of(0)) << "it may only have been asleep";
  EXPECT_EQ(play.events("worker_lost").size(), 1U);
  play.leave(0, 1);
  EXPECT_EQ(play.exit_code(), 1) << "the lost worker is not waited for";
}

class SilenceTest : public testing::TestWithParam<Phase> {};
INSTANTIATE_TEST_SUITE_P(Phases, SilenceTest,
                         testing::Values(Phase::kStarting, Phase::kForwardBackward, Phase::kEvaluating,
                                         Phase::kCheckpointing));

TEST_P(SilenceTest, IsALossWhateverTheOthersDo) {
  Play play(2, {.suspect = 5});
  play.enter_all();
  play.beat(1, 9, Phase::kEvaluating);
  for (std::uint64_t i = 0; i < 7; ++i) {
    play.beat(0, 9, GetParam(), i);
    play.pass(1s);
  }
  EXPECT_EQ(play.stop_of(0), "worker 1 (pid 4241) has been silent for 6 s; it was last in phase evaluating of step 9");
}

TEST(MembershipTest, SilenceIsNoLossWhileStepsAreCompleted) {
  Play play(2, {.suspect = 5});
  play.enter_all();
  for (int step = 1; step <= 20; ++step) {
    play.pass(1s);
    play.from(play.uuids[0], StepReport{.step = step});
  }
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
}

TEST(MembershipTest, ASchedulerThatSleptBlamesNobody) {
  Play play(2, {.suspect = 5, .hang = 30});
  play.enter_all();
  play.now += 100s;
  play.tick();
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
}

TEST(MembershipTest, AHangIsBlamedOnWhoeverDoesNotWait) {
  Play play(3, {.suspect = 5, .hang = 30});
  play.enter_all();
  for (int i = 0; i < 32; ++i) {
    play.beat(0, 9, Phase::kReducing);
    play.beat(1, 9, Phase::kForwardBackward);
    play.beat(2, 9, Phase::kWaiting);
    play.pass(1s);
  }
  EXPECT_EQ(play.stop_of(0),
            "worker 1 (pid 4241) hangs: no step was completed for 31 s and it is in phase forward_backward of step 9");
  EXPECT_EQ(play.events("hang").at(0).rank, 1);
}

TEST(MembershipTest, AHangOfAllIsSaidToBeOne) {
  Play play(2, {.hang = 30});
  play.enter_all();
  for (int i = 0; i < 32; ++i) {
    play.beat(0, 9, Phase::kReducing);
    play.beat(1, 9, Phase::kReducing);
    play.pass(1s);
  }
  EXPECT_EQ(play.stop_of(0), "the run hangs: no step was completed for 31 s and every worker waits at step 9");
}

TEST(MembershipTest, AStepOfMinutesIsNoHangWhileAWorkerComputes) {
  Play play(2, {.hang = 30});
  play.enter_all();
  for (std::uint64_t i = 0; i < 100; ++i) {
    play.from(play.uuids[0], Heartbeat{.step = 1, .phase = Phase::kReducing});
    play.from(play.uuids[1], Heartbeat{.step = 1, .phase = Phase::kForwardBackward, .activity = i});
    play.pass(1s);
  }
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
  for (int i = 0; i < 40; ++i) {
    play.from(play.uuids[0], Heartbeat{.step = 1, .phase = Phase::kReducing});
    play.from(play.uuids[1], Heartbeat{.step = 1, .phase = Phase::kForwardBackward, .activity = 99});
    play.pass(1s);
  }
  EXPECT_EQ(play.sent_to<Stop>(0).size(), 1U) << "then it does hang";
}

TEST(MembershipTest, AnEvaluationOfMinutesIsNoHangWhileAWorkerComputes) {
  Play play(2, {.hang = 30});
  play.enter_all();
  for (std::uint64_t i = 0; i < 100; ++i) {
    play.beat(0, 9, Phase::kEvaluating, i);
    play.beat(1, 9, Phase::kEvaluating);  // done with its part
    play.pass(1s);
  }
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
  for (int i = 0; i < 40; ++i) {
    play.beat(0, 9, Phase::kEvaluating, 99);
    play.beat(1, 9, Phase::kEvaluating);
    play.pass(1s);
  }
  EXPECT_EQ(play.sent_to<Stop>(0).size(), 1U) << "then it does hang";
}

TEST(MembershipTest, AWorkerThatHangsAloneIsNamedWhileAnotherWritesACheckpoint) {
  Play play(2, {.hang = 30});
  play.enter_all();
  for (int i = 0; i < 33; ++i) {
    play.beat(0, 9, Phase::kCheckpointing);
    play.beat(1, 9, Phase::kForwardBackward);
    play.pass(1s);
  }
  EXPECT_EQ(play.stop_of(0),
            "worker 1 (pid 4241) hangs: no step was completed for 31 s and it is in phase forward_backward of step 9");
}

class LongPhaseTest : public testing::TestWithParam<Phase> {};
INSTANTIATE_TEST_SUITE_P(Phases, LongPhaseTest, testing::Values(Phase::kStarting, Phase::kCheckpointing));

TEST_P(LongPhaseTest, IsNoHang) {
  Play play(2, {.hang = 30});
  play.enter_all();
  for (int i = 0; i < 100; ++i) {
    play.beat(0, 9, GetParam());
    play.beat(1, 9, Phase::kWaiting);
    play.pass(1s);
  }
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
}

TEST(MembershipTest, LongStepsAreNoHang) {
  Play play(1, {.hang = 30});
  play.enter_all();
  play.from(play.uuids[0], StepReport{.step = 1, .step_ms = 20'000});
  for (int i = 0; i < 95; ++i) {
    play.beat(0, 2, Phase::kForwardBackward);
    play.pass(1s);
  }
  EXPECT_TRUE(play.sent_to<Stop>(0).empty());
  for (int i = 0; i < 10; ++i) {
    play.beat(0, 2, Phase::kForwardBackward);
    play.pass(1s);
  }
  EXPECT_EQ(play.sent_to<Stop>(0).size(), 1U);
}

TEST(MembershipTest, MessagesOfAnotherBallotAreIgnored) {
  constexpr Ballot kOld{.term = kTerm, .attempt = 0};
  Play play(2);
  play.enter_all();
  const auto message = [&](const Ballot& ballot, const Uuid& sender) {
    return Message{.ballot = ballot, .sender = sender, .body = FinalReport{}};
  };
  EXPECT_TRUE(play.machine.may_report(message(kEpochBallot, play.uuids[0])));
  EXPECT_FALSE(play.machine.may_report(message(kOld, play.uuids[0])));
  EXPECT_FALSE(play.machine.may_report(message(kEpochBallot, play.uuids[1]))) << "rank 0 reports";
  EXPECT_FALSE(play.machine.may_report(message(kEpochBallot, Uuid::random())));

  play.from(play.uuids[1], Heartbeat{.step = 99, .phase = Phase::kReducing}, kOld);
  play.from(play.uuids[0], FinalReport{}, kOld);
  play.ended(1, 0, 9);
  EXPECT_EQ(play.stop_of(0), "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) before step 1");
}

// --- the end

TEST(MembershipTest, ARunIsDoneWhenItIsReportedAndAllHaveLeft) {
  Play play(2);
  play.enter_all();
  play.from(play.uuids[0], FinalReport{});
  play.leave(0);
  EXPECT_EQ(play.reason(), "not ended");
  play.leave(1);
  play.ended(0, 0, 0);
  EXPECT_EQ(play.exit_code(), 0);
  EXPECT_EQ(play.reason(), "");
  EXPECT_EQ(play.events("run_finished").size(), 1U);
  EXPECT_TRUE(play.sent_to<Stop>(play.agent).empty());
}

TEST(MembershipTest, ARunThatWasNotReportedIsNotDone) {
  Play play(2);
  play.enter_all();
  play.leave(0);
  play.leave(1);
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_EQ(play.reason(), "all workers left before the run was complete");
}

TEST(MembershipTest, AFailureAfterTheReportIsAFailure) {
  Play play(2);
  play.enter_all();
  play.from(play.uuids[0], FinalReport{});
  play.leave(0);
  play.ended(1, 0, 6);
  EXPECT_EQ(play.exit_code(), 1);
}

TEST(MembershipTest, WhoLeavesAsToldIsNotLost) {
  Play play(2);
  play.enter_all();
  play.from(play.agent, StopRequest{.reason = "stopped by SIGINT"}, Ballot{});
  play.ended(0, 1, 0);  // its end overtook its Leave
  play.ended(1, 0, 9);
  ASSERT_EQ(play.events("worker_lost").size(), 1U);
  EXPECT_EQ(play.events("worker_lost")[0].rank, 1);
}

TEST(MembershipTest, AStopRequestEndsTheRunInOrder) {
  Play play(2);
  play.enter_all();
  play.from(play.agent, StopRequest{.reason = "stopped by SIGINT"}, Ballot{});
  play.from(play.agent, StopRequest{.reason = "stopped by SIGTERM"}, Ballot{});
  EXPECT_EQ(play.sent_to<Stop>(0), (std::vector<Stop>{{.exit_code = 1, .reason = "stopped by SIGINT"}}));
  EXPECT_EQ(play.stop_of(1), "stopped by SIGINT");
  play.pass(5s);
  EXPECT_EQ(play.reason(), "not ended");
  play.leave(0);
  play.leave(1);
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_EQ(play.reason(), "stopped by SIGINT");
}

TEST(MembershipTest, ARunWithStepsToLoseFinishesTheStepAndLeavesOnce) {
  Play play(2, {}, {.run_directory = "out"});
  play.enter_all();
  play.steps(7, 5);
  play.from(play.agent, StopRequest{.reason = "stopped by SIGTERM"}, Ballot{});
  play.from(play.uuids[1], StopRequest{.reason = "stopped by SIGUSR2"});
  for (std::int32_t rank : {0, 1}) {
    EXPECT_EQ(play.sent_to<FinishStep>(rank), std::vector<FinishStep>{{.reason = "stopped by SIGTERM"}});
    EXPECT_TRUE(play.sent_to<Stop>(rank).empty());
  }
  EXPECT_EQ(play.sent_to<FinishStep>(play.agent).size(), 1U);
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

TEST(MembershipTest, WhatACheckpointHoldsIsNotLostByStoppingAtOnce) {
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
  gathering.enter(gathering.uuids[0], 0);
  for (Play* play : {&right_after, &resumed, &gathering}) {
    play->from(play->agent, StopRequest{.reason = "stopped by SIGTERM"}, Ballot{});
    EXPECT_EQ(play->sent_to<Stop>(0), (std::vector<Stop>{{.exit_code = 75, .reason = reason}}));
  }
}

TEST(MembershipTest, AProgramsOwnRunGoesOnWithThatProgram) {
  Play play(2, {}, {.step = 5, .run_directory = "out", .program = "mine"});
  play.enter_all();
  play.from(play.agent, StopRequest{.reason = "stopped by SIGTERM"}, Ballot{});
  EXPECT_EQ(play.stop_of(1),
            "stopped by SIGTERM after step 5, of which there is a checkpoint; run `mine resume out` to go on");
}

TEST(MembershipTest, WhoDoesNotFinishItsStepIsNotWaitedForForever) {
  Play play(2, {.hang = 30});
  play.enter_all();
  play.steps(7, 5);
  play.from(play.agent, StopRequest{.reason = "stopped by SIGTERM"}, Ballot{});
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

TEST(MembershipTest, ADeathWhileStoppingIsAFailure) {
  Play play(2);
  play.enter_all();
  play.steps(7, 5);
  play.from(play.agent, StopRequest{.reason = "stopped by SIGTERM"}, Ballot{});
  play.leave(1, 75);
  play.ended(0, 0, 9);
  EXPECT_EQ(play.exit_code(), 1);
  EXPECT_NE(play.reason().find("SIGKILL"), std::string::npos) << play.reason();
}

TEST(MembershipTest, AStopRequestBeforeAnybodyCameEndsTheRun) {
  Play play(2);
  play.add(play.machine.on_stop_request(1, "stopped by SIGTERM", play.now));
  EXPECT_EQ(play.exit_code(), 1);
}

TEST(MembershipTest, WorkersThatDoNotLeaveAreNotWaitedForForever) {
  Play play(2, {.stop_grace = 10});
  play.enter_all();
  play.add(play.machine.on_stop_request(1, "stopped by SIGTERM", play.now));
  play.leave(0);
  play.pass(10s);
  EXPECT_EQ(play.reason(), "not ended");
  play.pass(1s);
  EXPECT_EQ(play.exit_code(), 1);
}

TEST(MembershipTest, ARunNeedsAWorker) { EXPECT_THROW(Membership(1, 0, {}, Time{}), Error); }

}  // namespace
}  // namespace convoy::scheduler
