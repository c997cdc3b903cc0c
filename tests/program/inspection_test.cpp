// What a user sees of a run's work: --dry-run, --print-graph, --passes, --profile.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/program/program_run.h"

namespace convoy {
namespace {

using Words = std::vector<std::string>;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(DryRunTest, ShowsMemoryWorkAndTrafficAndTrainsNothing) {
  ProgramRun run;
  ASSERT_EQ(run.run({"train", "gpt.toml", "--dry-run"}), 0) << run.errors();
  const std::string alone = run.output();
  EXPECT_EQ(run.errors(), "");
  for (const char* part : {"gpt, ", "memory of a worker", "parameters", "optimizer state", "values of plans",
                           "largest values of gradient", "work of a worker in a step", "flop", "traffic: none"})
    EXPECT_TRUE(has(alone, part)) << part << "\n" << alone;
  EXPECT_FALSE(exists(run.folder() / "runs"));

  ASSERT_EQ(run.run({"launch", "-n", "2", "--", "train", "gpt.toml", "--dry-run"}), 0) << run.errors();
  EXPECT_TRUE(has(run.output(), "what a worker sends in a step")) << run.output();
  EXPECT_TRUE(has(run.output(), "bucket 0")) << run.output();
  EXPECT_FALSE(exists(run.folder() / "runs"));
}

TEST(PrintGraphTest, ShowsTheStepBeforeAndAfterEachPass) {
  ProgramRun run;
  ASSERT_EQ(run.run({"train", "mlp.toml", "--print-graph"}), 0) << run.errors();
  const std::string all = run.output();
  EXPECT_TRUE(has(all, "# gradient, captured")) << all;
  EXPECT_TRUE(has(all, "# gradient, after dead-code")) << all;
  EXPECT_TRUE(has(all, "# update, captured")) << all;
  EXPECT_TRUE(has(all, " = forward linear(activation=relu) ")) << all;
  EXPECT_TRUE(has(all, "flop, ")) << all;
  ASSERT_EQ(run.run({"train", "mlp.toml", "--print-graph", "--passes=none"}), 0) << run.errors();
  EXPECT_TRUE(has(run.output(), "# gradient, captured"));
  EXPECT_FALSE(has(run.output(), ", after "));
}

TEST(PassesTest, ChangeNoBitAndAreNamed) {
  ProgramRun run;
  std::set<std::string> hashes;
  for (const std::string passes : {"all", "none", "all,-fusion", "dead-code"}) {
    ASSERT_EQ(run.run({"train", "mlp.toml", "--run", passes, "--passes=" + passes}), 0) << run.errors();
    hashes.insert(nlohmann::json::parse(run.read(passes + "/final.json")).at("state_hash"));
  }
  EXPECT_EQ(hashes.size(), 1U);
  EXPECT_EQ(run.run({"train", "mlp.toml", "--run", "wrong", "--passes=fuson"}), 2);
  EXPECT_TRUE(has(run.errors(), "fusion")) << run.errors();
  EXPECT_FALSE(exists(run.folder() / "wrong"));
}

TEST(ProfileTest, TimesEveryCallOfSomeSteps) {
  ProgramRun run;
  ASSERT_EQ(run.run({"launch", "-n", "2", "--run", "out", "--", "train", "mlp.toml", "--profile=2:3"}), 0)
      << run.errors();
  EXPECT_EQ(run.errors(), "");
  EXPECT_TRUE(has(run.output(), "2 steps, ")) << run.output();
  EXPECT_TRUE(has(run.output(), "by the roofline")) << run.output();
  EXPECT_FALSE(has(run.output(), "[0] \n")) << run.output();
  for (int rank = 0; rank < 2; ++rank) {
    const auto trace = nlohmann::json::parse(run.read("out/profile/worker-" + std::to_string(rank) + ".json"));
    std::set<int> steps;
    std::set<std::string> names;
    for (const auto& event : trace.at("traceEvents")) {
      if (event.at("ph") != "X") continue;
      EXPECT_EQ(event.at("pid"), rank);
      steps.insert(event.at("args").at("step").get<int>());
      names.insert(event.at("name"));
    }
    EXPECT_EQ(steps, (std::set<int>{2, 3}));
    EXPECT_TRUE(names.contains("linear"));
    EXPECT_TRUE(names.contains("all-reduce"));
    EXPECT_TRUE(names.contains("adamw"));
  }
}

// Names and steps of a trace's calls.
struct Traced {
  explicit Traced(const nlohmann::json& trace) {
    for (const auto& event : trace.at("traceEvents")) {
      if (event.at("ph") != "X") continue;
      steps.insert(event.at("args").at("step").get<int>());
      categories.insert(event.at("cat").get<std::string>().substr(0, event.at("cat").get<std::string>().find(',')));
    }
  }
  std::set<int> steps;
  std::set<std::string> categories;
};

TEST(ProfileTest, LeavesEvaluationsBetweenTheStepsOut) {
  ProgramRun run;
  ASSERT_EQ(run.run({"train", "mlp.toml", "--run", "out", "--profile=1:4", "train.eval_every=1"}), 0) << run.errors();
  EXPECT_TRUE(has(run.output(), "4 steps, ")) << run.output();
  EXPECT_FALSE(has(run.output(), "evaluation forward")) << run.output();
  const Traced traced(nlohmann::json::parse(run.read("out/profile/worker-0.json")));
  EXPECT_EQ(traced.steps, (std::set<int>{1, 2, 3, 4}));
  EXPECT_EQ(traced.categories, (std::set<std::string>{"gradient", "chunk_squares", "update", "worker"}));
}

TEST(ProfileTest, IsThereWhereASignalStopsTheRunInTheMiddleOfIt) {
  ProgramRun run;
  run.start({CONVOY_PROGRAM, "train", "mlp.toml", "--run", "out", "--profile=2:1000000", "train.steps=1000000"});
  ASSERT_TRUE(run.wait_until([&] { return run.read("out/metrics.jsonl").size() > 1000; }, std::chrono::seconds(30)));
  kill(run.pid(), SIGTERM);
  const auto exit = run.wait_exit(std::chrono::seconds(30));
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 75) << run.errors();
  EXPECT_TRUE(has(run.output(), "profile of out/profile/worker-0.json, ")) << run.output();
  const Traced traced(nlohmann::json::parse(run.read("out/profile/worker-0.json")));
  EXPECT_EQ(*traced.steps.begin(), 2);
  EXPECT_EQ(run.run({"resume", "out", "--profile=1:2"}), 2);
  EXPECT_TRUE(has(run.errors(), "convoy: --profile 1:2: expected steps that are still to come: ")) << run.errors();
}

// What no machine has the memory for: nothing is started, and no run directory is left.
TEST(InspectionTest, WhatDoesNotFitIsRefusedBeforeAnythingStarts) {
  ProgramRun run;
  const auto refused = [&](Words words, const Words& more) {
    words.insert(words.end(), {"train", "mlp.toml"});
    words.insert(words.end(), more.begin(), more.end());
    EXPECT_EQ(run.run(words), 1);
    EXPECT_FALSE(exists(run.folder() / "runs"));
    return run.message();
  };
  for (const Words& before : {Words{}, Words{"launch", "-n", "2", "--"}}) {
    for (const Words& more : {Words{}, Words{"--dry-run"}}) {
      Words words = {"model.hidden=[1000000,1000000]"};
      words.insert(words.end(), more.begin(), more.end());
      const std::string message = refused(before, words);
      EXPECT_TRUE(has(message, "convoy: parameters (")) << message;
      EXPECT_TRUE(has(message, "which a worker can have of this machine's memory\n")) << message;
      EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 1) << message;
    }
  }
  std::string hidden = "model.hidden=[10";
  for (int i = 0; i < 10; ++i) hidden += ",100000,10";  // 200 GB each, of hardly any parameters
  const Words values = {"train.global_batch=1000000", "train.logical_shards=2", hidden + "]"};
  EXPECT_TRUE(has(refused({"launch", "-n", "2", "--"}, values), "convoy: a step's values need ")) << run.errors();
  EXPECT_FALSE(has(run.errors(), "exited")) << run.errors();
  ASSERT_EQ(run.run({"launch", "-n", "2", "--", "train", "mlp.toml", "--dry-run"}), 0) << run.errors();
  EXPECT_TRUE(has(run.output(), "available to each of 2 workers on this machine")) << run.output();
}

TEST(InspectionTest, WhatCannotBeSeenIsRefusedBeforeAnythingStarts) {
  ProgramRun run;
  const auto refused = [&](const Words& more) {
    Words words = {"train", "mlp.toml", "--run", "out"};
    words.insert(words.end(), more.begin(), more.end());
    EXPECT_EQ(run.run(words), 2);
    EXPECT_FALSE(exists(run.folder() / "out"));
    return run.message();
  };
  EXPECT_EQ(refused({"--profile=6:7"}),
            "convoy: --profile 6:7: expected steps of the run, which has 5 (mlp.toml:11: train.steps)\n");
  EXPECT_TRUE(has(refused({"--dry-run", "train.graph=dynamic"}), "only a captured step can be shown or profiled"));
  EXPECT_TRUE(has(refused({"--profile=1:2", "train.graph=dynamic"}), "only a captured step can be shown or profiled"));
  EXPECT_TRUE(has(refused({"--passes=none", "train.graph=dynamic"}), "--passes are of captured steps"));
  EXPECT_TRUE(has(refused({"train.graph=dynamic", "train.recompute=blocks"}),
                  "expected \"none\" with train.graph = \"dynamic\""));
}

}  // namespace
}  // namespace convoy
