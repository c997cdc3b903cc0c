#include "scheduler/run_history.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/scheduler/scratch.h"

namespace convoy::scheduler {
namespace {

cluster::StepReport report(std::int64_t step, double step_ms, std::int64_t tokens = -1) {
  return {.step = step,
          .loss = 10.0 - static_cast<double>(step),
          .samples = 8,
          .tokens = tokens,
          .step_ms = step_ms,
          .world = 2,
          .ballot = {.term = 1, .attempt = 2}};
}

Event event(const std::string& kind, std::int64_t step = 0, std::optional<Uuid> worker = std::nullopt) {
  return {.kind = kind, .worker = worker, .rank = -1, .ballot = {.term = 1, .attempt = 1}, .step = step, .detail = ""};
}

WorkerView worker_of(const Uuid& uuid) {
  WorkerView worker;
  worker.uuid = uuid;
  return worker;
}

RunView described(const RunHistory& history, std::vector<WorkerView> workers = {}) {
  RunView view;
  view.workers = std::move(workers);
  history.describe(view);
  history.describe_workers(view);
  return view;
}

TEST(RunHistoryTest, NothingHasHappened) {
  const RunView view = described(RunHistory());
  EXPECT_EQ(view.step, 0);
  EXPECT_TRUE(std::isnan(view.loss));
  EXPECT_FALSE(view.step_time);
  EXPECT_TRUE(view.rate_unit.empty());
}

TEST(RunHistoryTest, RatesAndSpreadAreOfTheLastHundredSteps) {
  RunHistory history;
  history.add(report(1, 100000.0), Uuid::random());
  for (std::int64_t step = 2; step <= 101; ++step) history.add(report(step, static_cast<double>(step - 1)), {});
  const RunView view = described(history);
  EXPECT_EQ(view.step, 101);
  EXPECT_EQ(view.loss, 10.0 - 101.0);
  EXPECT_EQ(view.ballot, (Ballot{.term = 1, .attempt = 2}));
  EXPECT_EQ(view.step_time, (StepSpread{.median_ms = 50.0, .p99_ms = 99.0, .steps = 100}));
  EXPECT_DOUBLE_EQ(view.samples_per_s, 800.0 / 5.05);
  EXPECT_EQ(view.rate, view.samples_per_s);
  EXPECT_EQ(view.rate_unit, "samples/s");
  EXPECT_EQ(view.steps_done, 101);
  EXPECT_DOUBLE_EQ(view.steps_done_s, 105.05);
  EXPECT_EQ(view.loss_curve.size(), 101u);
}

TEST(RunHistoryTest, TextIsCountedInTokens) {
  RunHistory history;
  history.add(report(1, 500.0, 1024), {});
  const RunView view = described(history);
  EXPECT_DOUBLE_EQ(view.rate, 2048.0);
  EXPECT_EQ(view.rate_unit, "tokens/s");
  EXPECT_DOUBLE_EQ(view.samples_per_s, 16.0);
}

TEST(RunHistoryTest, AWorkersSpreadIsOfWhatItReported) {
  const Uuid first = Uuid::random();
  const Uuid second = Uuid::random();
  RunHistory history;
  history.add(report(1, 10.0), first);
  history.add(report(2, 20.0), second);
  history.add(report(3, 30.0), second);
  const RunView view = described(history, {worker_of(first), worker_of(second), worker_of(Uuid::random())});
  EXPECT_EQ(view.workers[0].step_time, (StepSpread{.median_ms = 10.0, .p99_ms = 10.0, .steps = 1}));
  EXPECT_EQ(view.workers[1].step_time, (StepSpread{.median_ms = 20.0, .p99_ms = 30.0, .steps = 2}));
  EXPECT_FALSE(view.workers[2].step_time);
}

TEST(RunHistoryTest, EventsAreCountedAndTheLastOnesKept) {
  const Uuid worker = Uuid::random();
  RunHistory history;
  history.add(event("worker_joined", 0, worker), 100.0);
  history.add(event("checkpoint", 5), 105.0);
  history.add(event("checkpoint", 10), 110.0);
  const Uuid lost = Uuid::random();
  history.add(event("worker_lost", 11, lost), 111.0);
  history.add(event("worker_lost", 11, lost), 111.5);  // as a scheduler that was started anew says
  history.add(event("scheduler_restarted", 11), 112.0);
  for (int i = 0; i < 250; ++i) history.add(event("step_skipped", i), 200.0 + i);
  const RunView view = described(history, {worker_of(worker)});
  EXPECT_EQ(view.events.size(), RunHistory::kEvents);
  EXPECT_EQ(view.events.back().time_s, 449.0);
  EXPECT_EQ(view.events.front().time_s, 250.0);
  EXPECT_EQ(view.checkpoint, (CheckpointView{.step = 10, .time_s = 110.0}));
  EXPECT_EQ(view.workers_joined, 1);
  EXPECT_EQ(view.workers_lost, 1);
  EXPECT_EQ(view.scheduler_restarts, 1);
  EXPECT_EQ(view.started_s, 100.0);
  EXPECT_EQ(view.workers[0].joined_s, 100.0);
}

// A scheduler that takes over shows what the one before it showed.
TEST(RunHistoryTest, ReadsBackWhatRecordsHold) {
  const Scratch run;
  RunHistory history;
  {
    Records records(run.path(), 0);
    for (std::int64_t step = 1; step <= 2500; ++step) {
      const cluster::StepReport done = report(step, 1.0 + static_cast<double>(step % 7), 64);
      records.step(done, done.ballot);
      history.add(done, {});
    }
    Event lost = event("worker_lost", 17, Uuid::random());
    lost.rank = 1;
    lost.detail = "killed \"now\"\n";
    for (const auto& [what, time] : {std::pair{event("epoch"), 1.5}, std::pair{lost, 2.25}}) {
      records.event(what, time);
      history.add(what, time);
    }
  }
  // A kill tears the last lines.
  std::ofstream(run.file("metrics.jsonl"), std::ios::app) << R"({"step": 2501, "loss": 1)";
  std::ofstream(run.file("events.jsonl"), std::ios::app) << R"({"time": 3, "kind": "epo)";
  RunView expected = described(history);
  const RunView read = described(RunHistory(run.path()));
  expected.steps_done = 0;
  expected.steps_done_s = 0.0;
  EXPECT_EQ(read.loss_curve, expected.loss_curve);
  EXPECT_EQ(read.events, expected.events);
  EXPECT_EQ(read.step_time, expected.step_time);
  EXPECT_EQ(read.rate, expected.rate);
  EXPECT_EQ(read.step, 2500);
  EXPECT_EQ(read.loss, expected.loss);
  EXPECT_EQ(read.ballot, expected.ballot);
  EXPECT_EQ(read.workers_lost, 1);
  EXPECT_EQ(read.steps_done, 0);
}

TEST(RunHistoryTest, RecordsThatMakeNoSense) {
  const Scratch run;
  std::ofstream(run.file("metrics.jsonl")) << "garbage\n{}\n{\"step\": }\n{\"step\": 7, \"loss\": \"x\"}\n"
                                           << "{\"step\": 3, \"loss\": 1.0}\n{\"step\": 9, nonsense}\n\n";
  std::ofstream(run.file("events.jsonl"))
      << "[1]\n{\"kind\": 3}\n{\"kind\": \"hang\", \"worker\": \"not a uuid\", \"ballot\": \"??\"}\n";
  const RunView view = described(RunHistory(run.path()));
  EXPECT_EQ(view.step, 7);
  EXPECT_TRUE(std::isnan(view.loss));
  ASSERT_EQ(view.events.size(), 1u);
  EXPECT_EQ(view.events[0].event.kind, "hang");
}

}  // namespace
}  // namespace convoy::scheduler
