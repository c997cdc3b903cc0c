#include "scheduler/epochs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "cluster/chain.h"

namespace convoy::scheduler {
namespace {

using cluster::SealAnswer;
using Kind = Timer::Kind;
using State = Epochs::State;

Uuid uuid(int index) {
  Uuid out;
  out.bytes[0] = static_cast<std::uint8_t>(index + 1);
  return out;
}
std::uint64_t chain(std::int64_t step) { return 1000 + static_cast<std::uint64_t>(step); }
SealAnswer at_step(std::int64_t step) {
  return {.standing = {.sealed = {},
                       .entered = {.term = 1, .attempt = 1},
                       .has_state = true,
                       .applied = step,
                       .chain = chain(step),
                       .previous_chain = chain(step - 1)},
          .kept = false,
          .unreachable = {}};
}

// The machine, and all that came out of it.
class Play {
 public:
  explicit Play(const EpochOptions& options, const EpochPast& past = {}) : machine(options, past) {
    add(machine.start());
  }
  // `world` workers in their first epoch, which begins with the initial state.
  explicit Play(int world, std::int32_t min_workers = 1)
      : Play(EpochOptions{.world = world, .min_workers = min_workers, .steps = 10}) {
    for (int i = 0; i < world; ++i) add(machine.on_registered(uuid(i), i, {}));
    for (int i = 0; i < world; ++i) answer(i, {});
    for (int i = 0; i < world; ++i) progress(i, 0);
    actions.clear();
  }

  void add(EpochActions more) {
    for (EpochAction& action : more) actions.push_back(std::move(action));
  }
  void answer(int worker, const SealAnswer& answer) { add(machine.on_answer(uuid(worker), machine.round(), answer)); }
  void lose(int worker, Loss loss) { add(machine.on_lost(uuid(worker), loss)); }
  void progress(int worker, std::int64_t step) {
    add(machine.on_progress(uuid(worker), machine.epoch()->ballot, step));
  }
  void due(Kind kind) { add(machine.on_timer({.kind = kind, .ballot = machine.round()})); }

  template <typename Action>
  std::vector<Action> all() const {
    std::vector<Action> found;
    for (const EpochAction& action : actions) {
      if (const Action* one = std::get_if<Action>(&action)) found.push_back(*one);
    }
    return found;
  }
  // What came out, in order, as one word each.
  std::string words() const {
    static constexpr const char* kWords[] = {"seal",       "epoch", "kill",      "plan",    "quarantine",
                                             "checkpoint", "timer", "withdrawn", "release", "give-up"};
    std::string out;
    for (const EpochAction& action : actions) out += (out.empty() ? "" : " ") + std::string(kWords[action.index()]);
    return out;
  }

  Epochs machine;
  EpochActions actions;
};

TEST(EpochsTest, BeginsWithTheInitialState) {
  Play play(EpochOptions{.world = 2, .steps = 10});
  play.add(play.machine.on_registered(uuid(1), 0, {}));  // ranks are not UUIDs
  EXPECT_TRUE(play.actions.empty());
  play.add(play.machine.on_registered(uuid(0), 1, {}));
  EXPECT_EQ(play.words(), "seal seal timer");
  play.answer(0, {});
  play.answer(1, {});
  EXPECT_EQ(play.words(), "seal seal timer plan epoch epoch timer");  // on record before anybody is told
  const EpochPlan& epoch = *play.machine.epoch();
  EXPECT_EQ(epoch.members, (std::vector<Uuid>{uuid(1), uuid(0)}));
  EXPECT_TRUE(epoch.donors.empty());
  EXPECT_EQ(epoch.resume_step, 0);
  EXPECT_EQ(epoch.chain, cluster::chain_from(0));
}

TEST(EpochsTest, SurvivorsGoOnFromTheLargestStep) {
  Play play(3);
  play.lose(1, Loss::kEnded);
  EXPECT_EQ(play.words(), "seal seal timer");
  play.answer(0, at_step(4));
  play.answer(2, at_step(5));
  EXPECT_EQ(play.words(), "seal seal timer plan epoch epoch timer");
  const EpochPlan& epoch = *play.machine.epoch();
  EXPECT_EQ(epoch, (EpochPlan{.ballot = {.term = 1, .attempt = 2},
                              .members = {uuid(0), uuid(2)},
                              .resume_step = 5,
                              .donors = {uuid(2)},
                              .chain = chain(5),
                              .previous_chain = chain(4)}));
}

TEST(EpochsTest, WhoDoesNotAnswerIsDeadBeforeTheEpoch) {
  Play play(3);
  play.lose(1, Loss::kClosed);
  play.answer(0, at_step(5));
  play.due(Kind::kAnswers);  // 2 has not answered
  EXPECT_EQ(play.words(), "seal seal timer quarantine kill quarantine kill timer");
  EXPECT_EQ(play.machine.state(), State::kExcluding);
  play.lose(1, Loss::kEnded);
  play.actions.clear();
  play.due(Kind::kReaped);
  EXPECT_EQ(play.words(), "kill timer");
  EXPECT_EQ(play.all<Kill>()[0].worker, uuid(2));
  play.lose(2, Loss::kNodeLost);
  EXPECT_EQ(play.words(), "kill timer plan epoch timer");
  // For good, whatever it says.
  play.actions.clear();
  play.add(play.machine.on_registered(uuid(2), 2, at_step(5).standing));
  play.add(play.machine.on_ready(uuid(2)));
  EXPECT_EQ(play.words(), "kill");
  EXPECT_TRUE(play.machine.excluded(uuid(2)));
}

TEST(EpochsTest, WithoutAHolderSuspicionsAreWithdrawn) {
  Play play(2);
  play.lose(0, Loss::kEnded);
  play.due(Kind::kAnswers);
  EXPECT_EQ(play.words(), "seal timer withdrawn seal timer");
  EXPECT_EQ(play.all<SendSeal>().back().to, uuid(1));
  play.answer(1, at_step(5));
  EXPECT_EQ(play.machine.epoch()->members, std::vector<Uuid>{uuid(1)});
}

TEST(EpochsTest, WithoutAHolderLeftTheCheckpointIs) {
  Play play(2);
  play.add(play.machine.on_checkpoint(4));
  EXPECT_EQ(play.words(), "checkpoint");
  play.add(play.machine.on_registered(uuid(2), 2, {}));
  play.lose(0, Loss::kEnded);
  play.lose(1, Loss::kEnded);
  play.answer(2, {});
  const EpochPlan& epoch = *play.machine.epoch();
  EXPECT_EQ(epoch.members, std::vector<Uuid>{uuid(2)});
  EXPECT_TRUE(epoch.donors.empty());
  EXPECT_EQ(epoch.resume_step, 4);
}

TEST(EpochsTest, AHungWorkerIsKilledEvenIfItAnswers) {
  Play play(2);
  play.lose(1, Loss::kHung);
  EXPECT_EQ(play.words(), "quarantine kill seal timer");
  play.answer(1, at_step(5));
  play.answer(0, at_step(5));
  EXPECT_EQ(play.machine.state(), State::kExcluding);
  play.lose(1, Loss::kEnded);
  EXPECT_EQ(play.machine.epoch()->members, std::vector<Uuid>{uuid(0)});
}

TEST(EpochsTest, SilenceAloneExcludesNobody) {
  Play play(2);
  play.progress(0, 3);
  play.lose(1, Loss::kSilent);
  EXPECT_EQ(play.words(), "timer");
  play.progress(0, 4);  // a step that was done with it
  EXPECT_EQ(play.words(), "timer withdrawn");
  play.due(Kind::kSuspicion);
  EXPECT_EQ(play.machine.state(), State::kRunning);
  play.lose(1, Loss::kSilent);
  play.due(Kind::kSuspicion);
  EXPECT_EQ(play.machine.state(), State::kSealing);
  EXPECT_EQ(play.all<SendSeal>().size(), 2U);  // it is asked, too
}

TEST(EpochsTest, AJoinerComesInBetweenSteps) {
  Play play(2);
  play.progress(0, 3);
  play.add(play.machine.on_registered(uuid(2), 2, {}));
  EXPECT_TRUE(play.actions.empty());  // it copies first
  play.add(play.machine.on_ready(uuid(2)));
  ASSERT_EQ(play.words(), "seal seal seal timer");
  EXPECT_EQ(play.all<SendSeal>()[0].seal.at_step, 5);
  EXPECT_EQ(play.all<SetTimer>()[0].timer.kind, Kind::kAdmission);
  SealAnswer copy = at_step(3);
  copy.standing.entered = {};
  play.answer(2, copy);
  play.answer(0, at_step(5));
  play.answer(1, at_step(5));
  const EpochPlan& epoch = *play.machine.epoch();
  EXPECT_EQ(epoch.members, (std::vector<Uuid>{uuid(0), uuid(1), uuid(2)}));
  EXPECT_EQ(epoch.donors, (std::vector<Uuid>{uuid(0), uuid(1)}));
  // What it has copied is not what it has done.
  play.actions.clear();
  for (int i = 0; i < 2; ++i) play.progress(i, 10);
  EXPECT_TRUE(play.all<Release>().empty());
  play.progress(2, 10);
  EXPECT_EQ(play.words(), "release");
}

TEST(EpochsTest, ADeathWhileStepsAreFinishedSealsAtOnce) {
  Play play(2);
  play.add(play.machine.on_registered(uuid(2), 2, {}));
  play.add(play.machine.on_ready(uuid(2)));
  play.actions.clear();
  play.lose(0, Loss::kEnded);
  ASSERT_EQ(play.words(), "seal seal timer");
  EXPECT_EQ(play.all<SendSeal>()[0].seal.at_step, -1);
}

TEST(EpochsTest, APartitionKeepsTheLargerSide) {
  Play play(3);
  play.add(play.machine.on_peers_lost(uuid(0), play.machine.epoch()->ballot));
  SealAnswer cut_off = at_step(5);
  cut_off.unreachable = {uuid(1), uuid(2)};
  play.answer(0, cut_off);
  play.answer(1, at_step(4));
  play.answer(2, at_step(4));
  EXPECT_EQ(play.all<Kill>().at(0).worker, uuid(0));
  play.lose(0, Loss::kEnded);
  EXPECT_EQ(play.machine.epoch()->members, (std::vector<Uuid>{uuid(1), uuid(2)}));
  EXPECT_EQ(play.machine.epoch()->resume_step, 4);  // nobody is left who went further
}

TEST(EpochsTest, WhoWentAnotherWayIsExcluded) {
  Play play(3);
  play.add(play.machine.on_peers_lost(uuid(0), play.machine.epoch()->ballot));
  SealAnswer wrong = at_step(5);
  wrong.standing.chain = 7;
  play.answer(0, wrong);
  play.answer(1, at_step(5));
  play.answer(2, at_step(5));
  EXPECT_EQ(play.all<Kill>().at(0).worker, uuid(0));
}

TEST(EpochsTest, TwoThatDifferEndTheRun) {
  Play play(2);
  play.add(play.machine.on_peers_lost(uuid(0), play.machine.epoch()->ballot));
  SealAnswer wrong = at_step(5);
  wrong.standing.chain = 7;
  play.answer(0, wrong);
  play.answer(1, at_step(5));
  ASSERT_EQ(play.all<GiveUp>().size(), 1U);
  EXPECT_EQ(play.all<GiveUp>()[0].why, GiveUp::Why::kDiverged);
}

TEST(EpochsTest, WithTooFewWorkersTheRunWaits) {
  Play play(2, /*min_workers=*/2);
  play.lose(1, Loss::kEnded);
  play.answer(0, at_step(5));
  EXPECT_EQ(play.machine.state(), State::kWaiting);
  Play later = play;
  play.add(play.machine.on_registered(uuid(2), 2, {}));
  play.answer(0, at_step(5));
  play.answer(2, {});
  EXPECT_EQ(play.machine.epoch()->members, (std::vector<Uuid>{uuid(0), uuid(2)}));
  later.due(Kind::kTooFew);
  ASSERT_EQ(later.all<GiveUp>().size(), 1U);
  EXPECT_EQ(later.all<GiveUp>()[0].holders, std::vector<Uuid>{uuid(0)});
  EXPECT_EQ(later.all<GiveUp>()[0].step, 5);
}

EpochPast after_epoch() {
  return {.term = 2,
          .epoch = EpochPlan{.ballot = {.term = 1, .attempt = 3},
                             .members = {uuid(0), uuid(1)},
                             .resume_step = 5,
                             .donors = {uuid(0)},
                             .chain = chain(5),
                             .previous_chain = chain(4)},
          .quarantined = {},
          .checkpoint_step = 0};
}

TEST(EpochsTest, ARestartDisturbsNobodyWhoGoesOn) {
  Play play(EpochOptions{.world = 2, .steps = 10}, after_epoch());
  ASSERT_EQ(play.words(), "seal seal timer");
  EXPECT_EQ(play.all<SendSeal>()[0].seal.keep, (Ballot{.term = 1, .attempt = 3}));
  EXPECT_EQ(play.all<SetTimer>()[0].timer.kind, Kind::kReconnect);
  play.actions.clear();
  play.add(play.machine.on_registered(uuid(0), 0, at_step(7).standing));  // it found the scheduler only now
  EXPECT_EQ(play.words(), "seal");
  SealAnswer kept = at_step(7);
  kept.kept = true;
  kept.standing.entered = {.term = 1, .attempt = 3};
  play.answer(0, kept);
  kept.standing.entered = {.term = 1, .attempt = 2};  // sealed 1.3 and never heard what came of it
  play.answer(1, kept);
  EXPECT_EQ(play.words(), "seal epoch timer");
  EXPECT_EQ(play.all<SendEpoch>()[0].to, uuid(1));
  EXPECT_EQ(play.machine.state(), State::kRunning);
  EXPECT_EQ(play.machine.epoch()->ballot, (Ballot{.term = 1, .attempt = 3}));
}

TEST(EpochsTest, ARestartSealsWhereOneDoesNotGoOn) {
  Play play(EpochOptions{.world = 2, .steps = 10}, after_epoch());
  SealAnswer kept = at_step(5);
  kept.kept = true;
  play.answer(0, kept);
  play.answer(1, at_step(4));
  ASSERT_EQ(play.words(), "seal seal timer seal seal timer");
  EXPECT_EQ(play.all<SendSeal>().back().seal, cluster::Seal{});
}

TEST(EpochsTest, ARestartSealsWhereOneIsCutOff) {
  SealAnswer kept = at_step(5);
  kept.kept = true;
  Play early(EpochOptions{.world = 2, .steps = 10}, after_epoch());
  kept.unreachable = {uuid(1)};
  early.answer(0, kept);
  kept.unreachable.clear();
  early.answer(1, kept);
  EXPECT_EQ(early.words(), "seal seal timer seal seal timer");
  Play late(EpochOptions{.world = 2, .steps = 10}, after_epoch());
  late.answer(0, kept);
  late.add(late.machine.on_peers_lost(uuid(0), {.term = 1, .attempt = 3}));  // between its answer and the other's
  EXPECT_EQ(late.words(), "seal seal timer seal seal timer");
}

TEST(EpochsTest, ARestartWaitsForThoseInQuarantine) {
  EpochPast past = after_epoch();
  past.quarantined = {uuid(1)};
  Play play(EpochOptions{.world = 2, .steps = 10}, past);
  EXPECT_EQ(play.words(), "kill seal timer");
  SealAnswer kept = at_step(5);
  kept.kept = true;
  play.answer(0, kept);  // but not everybody can be
  EXPECT_EQ(play.words(), "kill seal timer seal timer");
  play.answer(0, at_step(5));
  EXPECT_EQ(play.machine.state(), State::kExcluding);
  play.lose(1, Loss::kEnded);
  EXPECT_EQ(play.machine.epoch()->members, std::vector<Uuid>{uuid(0)});
}

TEST(EpochsTest, WhatIsLateChangesNothing) {
  Play play(2);
  const Ballot old = play.machine.round();
  play.lose(1, Loss::kEnded);
  play.actions.clear();
  play.add(play.machine.on_answer(uuid(0), old, at_step(5)));
  play.add(play.machine.on_timer({.kind = Kind::kAnswers, .ballot = old}));
  play.add(play.machine.on_progress(uuid(0), {.term = 9, .attempt = 9}, 10));
  play.lose(1, Loss::kEnded);
  EXPECT_EQ(play.words(), "");
}

TEST(EpochsTest, ThePastIsWhatTheJournalHolds) {
  const auto epoch = [](std::uint64_t term, int member) {
    EpochRecord record;
    record.ballot = {.term = term, .attempt = 1};
    record.epoch.members.push_back(
        {.uuid = uuid(member), .rank = 0, .host = "node", .pid = 1, .meeting_place = "socket"});
    record.epoch.resume_step = 5;
    record.epoch.donors = {uuid(member)};
    record.epoch.chain = 3;
    record.epoch.previous_chain = 2;
    return record;
  };
  const std::vector<JournalRecord> records = {TermRecord{.term = 1, .scheduler = uuid(9)},
                                              epoch(1, 0),
                                              QuarantineRecord{.worker = uuid(3), .reason = ""},
                                              CheckpointRecord{.step = 4},
                                              epoch(2, 1),
                                              QuarantineRecord{.worker = uuid(4), .reason = ""}};
  EXPECT_EQ(past_of(records), (EpochPast{.term = 1,
                                         .epoch = EpochPlan{.ballot = {.term = 2, .attempt = 1},
                                                            .members = {uuid(1)},
                                                            .resume_step = 5,
                                                            .donors = {uuid(1)},
                                                            .chain = 3,
                                                            .previous_chain = 2},
                                         .quarantined = {uuid(4)},
                                         .checkpoint_step = 4}));
}

}  // namespace
}  // namespace convoy::scheduler
