// Runs as their directories tell of them: over, stopped, killed.
#include "scheduler/recorded_run.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "scheduler/http_file.h"
#include "scheduler/journal.h"
#include "tests/scheduler/scratch.h"
#include "tests/support/mutations.h"

namespace convoy::scheduler {
namespace {

const Uuid kFirst = Uuid::parse("00000000-0000-0000-0000-000000000001");
const Uuid kSecond = Uuid::parse("00000000-0000-0000-0000-000000000002");
constexpr Ballot kBallot{.term = 1, .attempt = 1};

// What a scheduler leaves of a run of two workers that has done three of five steps.
struct Left {
  Left() : records((write_recipe(run), run.path()), 0), journal(run.path() + "/journal", Uuid::random()) {
    event("worker_joined", kFirst, 0);
    event("worker_joined", kSecond, 1);
    cluster::Epoch epoch;
    epoch.members = {{.uuid = kFirst, .rank = 0, .host = "node1", .pid = 41, .meeting_place = ""},
                     {.uuid = kSecond, .rank = 1, .host = "node2", .pid = 42, .meeting_place = ""}};
    journal.append(EpochRecord{.ballot = kBallot, .epoch = epoch});
    event("epoch", {}, -1);
    for (std::int64_t step = 1; step <= 3; ++step) {
      records.step({.step = step, .loss = 5.0 - static_cast<double>(step), .samples = 4, .step_ms = 10.0, .world = 2},
                   kBallot);
    }
  }
  static void write_recipe(const Scratch& run) {
    std::ofstream(run.file("recipe.toml")) << "[model]\nkind = \"mlp\"\nhidden = [16]\n\n[data]\nkind = \"mnist\"\n\n"
                                              "[train]\nsteps = 5\nglobal_batch = 4\n";
  }
  void event(const std::string& kind, std::optional<Uuid> worker, std::int32_t rank, const std::string& detail = "") {
    records.event({.kind = kind, .worker = worker, .rank = rank, .ballot = kBallot, .step = 3, .detail = detail},
                  time_s += 1.0);
  }
  RunView view() const { return read_recorded_run(run.path()); }

  Scratch run;
  double time_s = 100.0;
  Records records;
  Journal journal;
};

TEST(RecordedRunTest, KilledWithItsScheduler) {
  const Left left;
  const RunView view = left.view();
  EXPECT_FALSE(view.live);
  EXPECT_EQ(view.state, RunState::kAway);
  EXPECT_EQ(view.recipe, "mlp on mnist");
  EXPECT_EQ(view.steps, 5);
  EXPECT_EQ(view.step, 3);
  EXPECT_EQ(view.loss, 2.0);
  EXPECT_EQ(view.ballot, kBallot);
  EXPECT_EQ(view.term, 1u);
  EXPECT_EQ(view.started_s, 101.0);
  EXPECT_EQ(view.loss_curve.size(), 3u);
  ASSERT_EQ(view.workers.size(), 2u);
  EXPECT_EQ(view.workers[1].uuid, kSecond);
  EXPECT_EQ(view.workers[1].rank, 1);
  EXPECT_EQ(view.workers[1].host, "node2");
  EXPECT_EQ(view.workers[1].pid, 42);
  EXPECT_EQ(view.workers[1].joined_s, 102.0);
  EXPECT_FALSE(view.workers[1].heartbeat_age_s);
}

TEST(RecordedRunTest, WhoWasLostIsNotInTheRun) {
  Left left;
  left.event("worker_lost", kFirst, 0, "killed");
  const RunView view = left.view();
  ASSERT_EQ(view.workers.size(), 1u);
  EXPECT_EQ(view.workers[0].uuid, kSecond);
  EXPECT_EQ(view.workers[0].rank, 1);
  EXPECT_EQ(view.workers_lost, 1);
}

TEST(RecordedRunTest, Finished) {
  Left left;
  left.event("checkpoint", kFirst, 0, "checkpoints/step-5");
  left.records.final({.steps = 5,
                      .final_loss = 1.5,
                      .parameters_hash = "p",
                      .state_hash = "s",
                      .eval_loss = 1.0,
                      .eval_accuracy = std::nullopt,
                      .samples_per_s = 123.0,
                      .tokens_per_s = std::nullopt,
                      .wall_s = 1.0,
                      .start_to_first_step_s = 0.1,
                      .world = 2},
                     std::nullopt);
  left.event("run_finished", {}, -1);
  const RunView view = left.view();
  EXPECT_EQ(view.state, RunState::kFinished);
  EXPECT_EQ(view.step, 5);
  EXPECT_EQ(view.loss, 1.5);
  EXPECT_EQ(view.rate, 123.0);
  EXPECT_EQ(view.rate_unit, "samples/s");
  EXPECT_TRUE(view.workers.empty());
  EXPECT_EQ(view.checkpoint->step, 3);
}

TEST(RecordedRunTest, StoppedAndTakenUpAgain) {
  Left left;
  left.event("run_stopped", {}, -1, "stopped by SIGTERM after step 3");
  EXPECT_EQ(left.view().state, RunState::kStopped);
  EXPECT_EQ(left.view().reason, "stopped by SIGTERM after step 3");
  left.event("worker_joined", kFirst, 0);
  EXPECT_EQ(left.view().state, RunState::kAway);
  EXPECT_EQ(left.view().reason, "");
}

TEST(RecordedRunTest, ARunThatHasOnlyItsRecipe) {
  const Scratch run;
  Left::write_recipe(run);
  const RunView view = read_recorded_run(run.path());
  EXPECT_EQ(view.state, RunState::kAway);
  EXPECT_EQ(view.step, 0);
  EXPECT_EQ(view.steps, 5);
}

TEST(RecordedRunTest, AFinalReportThatIsNotWhole) {
  Left left;
  std::ofstream(left.run.file("final.json")) << "{\"steps\": 5";
  EXPECT_EQ(left.view().state, RunState::kAway);
}

TEST(RecordedRunTest, ADamagedJournalHidesNothingElse) {
  Left left;
  const std::string segment = left.run.path() + "/journal/term-1";
  const std::string bytes = contents_of(segment);
  std::ofstream(segment, std::ios::binary) << "garbage" << bytes;
  const RunView view = left.view();
  EXPECT_EQ(view.state, RunState::kAway);
  EXPECT_EQ(view.step, 3);
  EXPECT_TRUE(view.workers.empty());
}

TEST(RecordedRunTest, WhatIsNoRun) {
  const Scratch empty;
  std::ofstream(empty.file("file")) << "x";
  for (const auto& [path, what] : {std::pair{empty.path(), "holds no run"},
                                   {empty.file("file"), "not a directory"},
                                   {empty.file("nothing"), "no such run directory"}}) {
    try {
      read_recorded_run(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
  }
}

TEST(RecordedRunTest, DamagedRecordsAreShownOrLeftOut) {
  Left left;
  cluster::FinalReport report;
  report.steps = 3;
  left.records.final(report, 7);
  const std::vector<std::string> files = {"metrics.jsonl", "events.jsonl", "final.json", "http.json", "recipe.toml"};
  std::ofstream(left.run.file("http.json"))
      << R"({"schema": 1, "address": "127.0.0.1:1", "token": "", "host": "h", "pid": 1, "scheduler": ")"
      << kFirst.to_string() << R"("})";
  std::vector<std::string> whole;
  std::vector<testing_support::Mutations> mutations;
  for (const std::string& file : files) {
    whole.push_back(contents_of(left.run.file(file)));
    mutations.emplace_back(std::vector{whole.back()});
  }
  for (std::int64_t i = 0; i < testing_support::Mutations::rounds(600); ++i) {
    const auto which = static_cast<std::size_t>(i) % files.size();
    std::ofstream(left.run.file(files[which]), std::ios::binary | std::ios::trunc) << mutations[which].next();
    try {
      (void)read_recorded_run(left.run.path());
      (void)HttpFile::read(left.run.path());
      const Records goes_on(left.run.path(), 0, /*restarted=*/true);
    } catch (const Error&) {  // says what is wrong
    }
    std::ofstream(left.run.file(files[which]), std::ios::binary | std::ios::trunc) << whole[which];
  }
}

}  // namespace
}  // namespace convoy::scheduler
