#include "scheduler/records.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "tests/scheduler/scratch.h"

namespace convoy::scheduler {
namespace {

using Json = nlohmann::ordered_json;

constexpr Ballot kBallot{.term = 1, .attempt = 2};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

cluster::StepReport report(std::int64_t step) {
  return {.step = step,
          .loss = 0.1,
          .loss_bits = 0x3dcccccd,
          .lr = 3e-4,
          .grad_norm = 1.5,
          .samples = 16,
          .tokens = 1024,
          .step_ms = 12.5,
          .compute_ms = 10.0,
          .comm_ms = 2.5,
          .world = 2};
}

TEST(RecordsTest, AStepIsALineOfMetrics) {
  const Scratch scratch;
  Records records(scratch.path(), 0);
  EXPECT_TRUE(records.step(report(1), kBallot));
  EXPECT_EQ(contents_of(scratch.file("metrics.jsonl")),
            R"({"step": 1, "loss": 0.10000000000000001, "loss_bits": "3dcccccd", "lr": 0.0003, "grad_norm": 1.5, )"
            R"("samples": 16, "tokens": 1024, "step_ms": 12.5, "compute_ms": 10, "comm_ms": 2.5, "world": 2, )"
            R"("ballot": "1.2"})"
            "\n");
}

TEST(RecordsTest, AStepSaysWhoSummedWhichShards) {
  const Scratch scratch;
  Records records(scratch.path(), 0);
  auto step = report(1);
  step.shard_ranks = {1, 1, 0, 1};
  records.step(step, kBallot);
  EXPECT_TRUE(contents_of(scratch.file("metrics.jsonl"))
                  .ends_with(R"("ballot": "1.2", "shards": ["2", "0-1,3"]})"
                             "\n"));
}

TEST(RecordsTest, TokensAreLeftOutWhereThereAreNone) {
  const Scratch scratch;
  Records records(scratch.path(), 0);
  auto image_step = report(1);
  image_step.tokens = -1;
  records.step(image_step, kBallot);
  EXPECT_FALSE(Json::parse(lines_of(scratch.file("metrics.jsonl")).at(0)).contains("tokens"));
}

TEST(RecordsTest, NumbersThatAreNotFiniteBecomeNull) {
  const Scratch scratch;
  Records records(scratch.path(), 0);
  auto wild = report(1);
  wild.loss = std::numeric_limits<double>::quiet_NaN();
  wild.grad_norm = -kInfinity;
  records.step(wild, kBallot);
  const Json line = Json::parse(lines_of(scratch.file("metrics.jsonl")).at(0));
  EXPECT_TRUE(line.at("loss").is_null());
  EXPECT_TRUE(line.at("grad_norm").is_null());
}

TEST(RecordsTest, EveryStepIsRecordedOnce) {
  const Scratch scratch;
  Records records(scratch.path(), 4);  // resumed after step 4
  EXPECT_FALSE(records.step(report(4), kBallot));
  EXPECT_TRUE(records.step(report(5), kBallot));
  EXPECT_TRUE(records.step(report(7), kBallot));
  EXPECT_EQ(records.recorded_step(), 5) << "step 6 is missing";
  EXPECT_EQ(lines_of(scratch.file("metrics.jsonl")).size(), 1U) << "and is to stand before step 7";
  EXPECT_FALSE(records.step(report(7), kBallot));
  EXPECT_TRUE(records.step(report(6), kBallot));
  EXPECT_EQ(records.recorded_step(), 7);
  EXPECT_FALSE(records.step(report(6), kBallot));
  EXPECT_EQ(lines_of(scratch.file("metrics.jsonl")).size(), 3U);
}

TEST(RecordsTest, AppendsToWhatIsThere) {
  const Scratch scratch;
  { Records(scratch.path(), 0).step(report(1), kBallot); }
  { Records(scratch.path(), 1).step(report(2), kBallot); }
  EXPECT_EQ(lines_of(scratch.file("metrics.jsonl")).size(), 2U);
}

TEST(RecordsTest, AnEventIsALineOfEvents) {
  const Scratch scratch;
  Records records(scratch.path(), 0);
  const Uuid worker = Uuid::parse("00112233-4455-6677-8899-aabbccddeeff");
  records.event(
      {.kind = "worker_lost", .worker = worker, .rank = 1, .ballot = kBallot, .step = 17, .detail = "a \"b\"\n"},
      1700000000.25);
  records.event({.kind = "epoch", .worker = std::nullopt, .rank = -1, .ballot = kBallot, .step = 0, .detail = "\xff"},
                1.0);
  const auto lines = lines_of(scratch.file("events.jsonl"));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0],
            R"({"time": 1700000000.250000, "kind": "worker_lost", "worker": "00112233-4455-6677-8899-aabbccddeeff", )"
            R"("rank": 1, "ballot": "1.2", "step": 17, "detail": "a \"b\"\n"})");
  const Json second = Json::parse(lines[1]);
  EXPECT_TRUE(second.at("worker").is_null());
  EXPECT_TRUE(second.at("rank").is_null());
}

TEST(RecordsTest, FinalHoldsTheReportAndThePeak) {
  const Scratch scratch;
  Records records(scratch.path(), 0);
  cluster::FinalReport final;
  final.steps = 20;
  final.final_loss = 0.1;
  final.parameters_hash = std::string(32, 'a');
  final.state_hash = std::string(32, 'b');
  final.eval_loss = kInfinity;
  final.samples_per_s = 100.5;
  final.wall_s = 12.5;
  final.start_to_first_step_s = 0.25;
  final.world = 4;
  records.final(final, std::nullopt);
  EXPECT_TRUE(Json::parse(contents_of(scratch.file("final.json"))).at("peak_rss_bytes").is_null());

  final.eval_accuracy = 0.95;
  final.tokens_per_s = 6400.0;
  records.final(final, 123456789);
  const Json json = Json::parse(contents_of(scratch.file("final.json")));
  std::vector<std::string> names;
  for (const auto& [name, value] : json.items()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"steps", "final_loss", "parameters_hash", "state_hash", "eval_loss",
                                             "eval_accuracy", "samples_per_s", "tokens_per_s", "wall_s",
                                             "start_to_first_step_s", "peak_rss_bytes", "world"}));
  EXPECT_EQ(json.at("peak_rss_bytes"), 123456789);
  EXPECT_TRUE(json.at("eval_loss").is_null());
  EXPECT_EQ(json.at("final_loss"), 0.1);
}

TEST(RecordsTest, GoesOnAfterTheStepOfACheckpoint) {
  const Scratch scratch;
  {
    Records records(scratch.path(), 0);
    for (std::int64_t step = 1; step <= 5; ++step) {
      cluster::StepReport report;
      report.step = step;
      ASSERT_TRUE(records.step(report, {1, 1}));
    }
    records.event(Event{.kind = "whole", .worker = {}, .ballot = {}, .detail = {}}, 1.0);
    records.final({}, std::nullopt);
  }
  std::ofstream(scratch.file("metrics.jsonl"), std::ios::app) << R"({"step": 6, "lo)";
  std::ofstream(scratch.file("events.jsonl"), std::ios::app) << R"({"time": 2.0, "ki)";

  Records records(scratch.path(), 3);
  EXPECT_FALSE(std::filesystem::exists(scratch.file("final.json")));
  EXPECT_EQ(records.recorded_step(), 3);
  cluster::StepReport report;
  report.step = 3;
  EXPECT_FALSE(records.step(report, {2, 1}));
  report.step = 4;
  EXPECT_TRUE(records.step(report, {2, 1}));
  records.event(Event{.kind = "after", .worker = {}, .ballot = {}, .detail = {}}, 3.0);
  std::vector<std::string> ballots;
  for (const std::string& line : lines_of(scratch.file("metrics.jsonl")))
    ballots.push_back(Json::parse(line).at("ballot"));
  EXPECT_EQ(ballots, (std::vector<std::string>{"1.1", "1.1", "1.1", "2.1"}));
  const auto events = lines_of(scratch.file("events.jsonl"));
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(Json::parse(events[0]).at("kind"), "whole");
  EXPECT_EQ(Json::parse(events[1]).at("kind"), "after");
}

TEST(RecordsTest, LinesByAnotherHandAreNoLines) {
  const Scratch scratch;
  { Records(scratch.path(), 0).step(report(1), kBallot); }
  std::ofstream(scratch.file("metrics.jsonl"), std::ios::app) << R"({"step": "two"})" << '\n'
                                                              << R"({"step": null})" << '\n'
                                                              << R"({"step": 2e99})" << '\n'
                                                              << "[]\n";
  std::ofstream(scratch.file("events.jsonl"), std::ios::app) << R"({"kind": 3})" << '\n'
                                                             << R"({"kind": "eval", "step": "two"})" << '\n'
                                                             << R"({"kind": "eval"})" << '\n';
  {
    Records goes_on(scratch.path(), 0, /*restarted=*/true);
    EXPECT_EQ(goes_on.recorded_step(), 1);
    EXPECT_TRUE(goes_on.evaluation(2));
  }
  Records resumed(scratch.path(), 1);
  EXPECT_EQ(lines_of(scratch.file("metrics.jsonl")).size(), 1U);
}

TEST(RecordsTest, ASchedulerThatWasStartedAnewKeepsWhatStands) {
  const Scratch scratch;
  {
    Records records(scratch.path(), 0);
    for (const std::int64_t step : {1, 2, 3}) ASSERT_TRUE(records.step(report(step), kBallot));
    records.event(Event{.kind = "eval", .worker = {}, .ballot = {}, .step = 2, .detail = {}}, 1.0);
    records.final({}, std::nullopt);
  }
  std::ofstream(scratch.file("metrics.jsonl"), std::ios::app) << R"({"step": 4, "lo)";
  Records records(scratch.path(), 0, /*restarted=*/true);
  EXPECT_EQ(records.recorded_step(), 3);
  EXPECT_TRUE(records.has_final());
  EXPECT_FALSE(records.evaluation(2));
  EXPECT_TRUE(records.evaluation(4));
  EXPECT_TRUE(records.step(report(5), kBallot));
  EXPECT_FALSE(records.step(report(3), kBallot));
  EXPECT_TRUE(records.step(report(4), kBallot));
  std::vector<std::int64_t> steps;
  for (const std::string& line : lines_of(scratch.file("metrics.jsonl"))) steps.push_back(Json::parse(line).at("step"));
  EXPECT_EQ(steps, (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
}

TEST(RecordsTest, WhatASchedulerThatWasReplacedWritesLateIsNotRead) {
  const Scratch scratch;
  Records earlier(scratch.path(), 0);
  const Event event{.kind = "before", .worker = {}, .ballot = {}, .step = 1, .detail = {}};
  earlier.event(event, 1.0);
  ASSERT_TRUE(earlier.step(report(1), kBallot));
  Records later(scratch.path(), 0, /*restarted=*/true);
  earlier.event(event, 2.0);
  earlier.step(report(2), kBallot);
  EXPECT_TRUE(later.step(report(2), kBallot));
  EXPECT_EQ(lines_of(scratch.file("events.jsonl")).size(), 1U);
  EXPECT_EQ(lines_of(scratch.file("metrics.jsonl")).size(), 2U);
}

// No file of this process may become larger, as on a full disk.
class LargestFile {
 public:
  explicit LargestFile(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~LargestFile() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  LargestFile(const LargestFile&) = delete;
  LargestFile& operator=(const LargestFile&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(RecordsTest, OfALineThatDoesNotFitNothingStaysAndNothingIsLost) {
  const Scratch scratch;
  const std::string metrics = scratch.file("metrics.jsonl");
  const std::string events = scratch.file("events.jsonl");
  Records records(scratch.path(), 0);
  const auto event = [&](const char* detail) {
    records.event({.kind = "hang", .worker = std::nullopt, .ballot = kBallot, .step = 1, .detail = detail}, 1.5);
  };
  records.step(report(1), kBallot);
  event("one");
  const std::string one_step = contents_of(metrics);
  const std::string one_event = contents_of(events);
  {
    const LargestFile full(one_event.size() + 10);
    EXPECT_THROW(event("two"), Error);
    EXPECT_EQ(contents_of(events), one_event);
    EXPECT_THROW(event("three"), Error);
  }
  {
    const LargestFile full(one_step.size() + 10);
    EXPECT_THROW(records.step(report(2), kBallot), Error);
    EXPECT_EQ(contents_of(metrics), one_step);
    EXPECT_EQ(records.recorded_step(), 1);
    EXPECT_FALSE(records.step(report(2), kBallot)) << "it is kept";
  }
  records.retry();
  EXPECT_EQ(records.recorded_step(), 2);
  EXPECT_EQ(lines_of(metrics).size(), 2U);
  ASSERT_EQ(lines_of(events).size(), 3U);
  EXPECT_EQ(Json::parse(lines_of(events)[2]).at("detail"), "three");
}

TEST(RecordsTest, NamesTheFileItCannotWrite) {
  try {
    Records records("/nowhere/at/all", 0);
    ADD_FAILURE() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("/nowhere/at/all/metrics.jsonl"), std::string::npos) << error.what();
  }
  LineFile full("/dev/full");
  EXPECT_THROW(full.append("x"), Error);
}

}  // namespace
}  // namespace convoy::scheduler
