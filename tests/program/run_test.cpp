// Whole runs: what they leave behind, and what can be done with it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "tests/program/program_run.h"

namespace convoy {
namespace {

using Names = std::set<std::string>;

Names fields_of(const nlohmann::json& object) {
  Names names;
  for (const auto& [name, value] : object.items()) names.insert(name);
  return names;
}

// Files below `folder`; UUIDs read UUID, the time and host of TensorBoard's files TIME.HOST.
Names files_below(const std::filesystem::path& folder) {
  static const std::regex kUuid("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");
  static const std::regex kEventFile("tfevents\\.[0-9]{10}\\..+");
  Names names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_directory()) continue;
    const std::string plain = std::regex_replace(entry.path().lexically_relative(folder).string(), kUuid, "UUID");
    names.insert(std::regex_replace(plain, kEventFile, "tfevents.TIME.HOST"));
  }
  return names;
}

Names with(Names names, const Names& more) {
  names.insert(more.begin(), more.end());
  return names;
}

const Names kMetrics = {"step",    "loss",       "loss_bits", "lr",    "grad_norm", "samples",
                        "step_ms", "compute_ms", "comm_ms",   "world", "ballot",    "shards"};
const Names kEvent = {"time", "kind", "worker", "rank", "ballot", "step", "detail"};
const Names kFinal = {
    "steps",         "final_loss", "parameters_hash",       "state_hash",     "eval_loss", "eval_accuracy",
    "samples_per_s", "wall_s",     "start_to_first_step_s", "peak_rss_bytes", "world"};
const Names kFiles = {"recipe.toml",
                      "metrics.jsonl",
                      "events.jsonl",
                      "final.json",
                      "checkpoints/step-5/manifest.json",
                      "checkpoints/step-5/recipe.toml",
                      "checkpoints/step-5/parameters.safetensors",
                      "checkpoints/step-5/optimizer.safetensors",
                      "logs/scheduler.log",
                      "logs/worker-UUID.log",
                      "journal/lock",
                      "journal/term-1",
                      "run-id",
                      "tensorboard/events.out.tfevents.TIME.HOST"};

void expect_records(const ProgramRun& run, int world, const Names& of_text) {
  const std::filesystem::path folder = run.folder() / "out";
  EXPECT_EQ(files_below(folder), kFiles);

  const auto final_report = nlohmann::json::parse(run.read("out/final.json"));
  EXPECT_EQ(fields_of(final_report), with(kFinal, of_text.empty() ? Names{} : Names{"tokens_per_s"}));
  EXPECT_EQ(final_report.at("steps"), 5);
  EXPECT_EQ(final_report.at("world"), world);
  for (const char* hash : {"parameters_hash", "state_hash"})
    EXPECT_TRUE(std::regex_match(final_report.at(hash).get<std::string>(), std::regex("[0-9a-f]{32}")));

  std::istringstream metrics(run.read("out/metrics.jsonl"));
  int steps = 0;
  double last_loss = 0;
  for (std::string text; std::getline(metrics, text);) {
    const auto line = nlohmann::json::parse(text);
    EXPECT_EQ(fields_of(line), with(kMetrics, of_text)) << text;
    EXPECT_EQ(line.at("step"), ++steps);
    EXPECT_EQ(line.at("samples"), 8);
    EXPECT_EQ(line.at("world"), world);
    EXPECT_EQ(line.at("ballot"), "1.1");
    const float loss = line.at("loss").get<float>();
    EXPECT_EQ(line.at("loss_bits"), fmt::format("{:08x}", std::bit_cast<std::uint32_t>(loss)));
    last_loss = line.at("loss");
  }
  EXPECT_EQ(steps, 5);
  EXPECT_EQ(last_loss, final_report.at("final_loss").get<double>());

  std::istringstream events(run.read("out/events.jsonl"));
  Names kinds;
  for (std::string text; std::getline(events, text);) {
    const auto line = nlohmann::json::parse(text);
    EXPECT_EQ(fields_of(line), kEvent) << text;
    kinds.insert(line.at("kind"));
  }
  EXPECT_TRUE(kinds.contains("worker_joined"));
  EXPECT_TRUE(kinds.contains("epoch"));
}

TEST(RunTest, OfSeveralWorkersLeavesTheRecordsOfTheContract) {
  ProgramRun run;
  ASSERT_EQ(run.run({"launch", "-n", "2", "--run", "out", "--", "train", "gpt.toml"}), 0) << run.errors();
  EXPECT_EQ(run.errors(), "");
  expect_records(run, 2, {"tokens"});
}

TEST(RunTest, OfOneLeavesTheRecordsOfTheContract) {
  ProgramRun run;
  ASSERT_EQ(run.run({"train", "mlp.toml", "--run", "out"}), 0) << run.errors();
  EXPECT_EQ(run.errors(), "");
  expect_records(run, 1, {});
}

TEST(RunTest, ItsRecipeStartsTheSameRunAgain) {
  ProgramRun run;
  ASSERT_EQ(run.run({"train", "gpt.toml", "--run", "out"}), 0) << run.errors();
  ASSERT_EQ(run.run({"train", "out/recipe.toml", "--run", "again"}), 0) << run.errors();
  EXPECT_EQ(run.read("again/recipe.toml"), run.read("out/recipe.toml"));
  EXPECT_EQ(run.read("again/checkpoints/step-5/parameters.safetensors"),
            run.read("out/checkpoints/step-5/parameters.safetensors"));
}

TEST(RunTest, TakesAFolderOfItsOwnUnlessToldWhere) {
  ProgramRun run;
  ASSERT_EQ(run.run({"train", "mlp.toml", "train.steps=1"}), 0) << run.errors();
  const auto folder = std::filesystem::directory_iterator(run.folder() / "runs")->path();
  EXPECT_TRUE(std::regex_match(folder.filename().string(), std::regex("mlp-\\d{8}-\\d{6}"))) << folder;
  EXPECT_TRUE(exists(folder / "final.json"));
}

TEST(RunTest, AWarmUpLongerThanTheRunIsPointedOut) {
  const std::string warning =
      "convoy: warning: command line: optimizer.warmup_steps=6: 6 steps of warm-up in a run of ";
  ProgramRun run;
  ASSERT_EQ(run.run({"train", "gpt.toml", "optimizer.warmup_steps=6"}), 0) << run.errors();
  EXPECT_NE(run.output().find(warning + "5: the learning rate never reaches optimizer.lr\n"), std::string::npos)
      << run.output();
  ASSERT_EQ(run.run({"train", "gpt.toml", "optimizer.warmup_steps=5"}), 0) << run.errors();
  EXPECT_EQ(run.output().find("warning"), std::string::npos) << run.output();
}

TEST(RunTest, ADirectoryThatHoldsSomethingIsRefused) {
  ProgramRun run;
  run.write("out/notes.txt", "mine");
  for (const std::vector<std::string>& before : {std::vector<std::string>{}, {"launch", "-n", "2", "--"}}) {
    std::vector<std::string> words = before;
    words.insert(words.end(), {"train", "gpt.toml", "--run", "out"});
    EXPECT_EQ(run.run(words), 2);
    EXPECT_EQ(run.message(), "convoy: run directory out is not empty: name another one with --run\n");
  }
  EXPECT_EQ(files_below(run.folder() / "out"), Names{"notes.txt"});
}

TEST(GenerateTest, SameSeedGivesTheSameTextAndAnotherSeedAnother) {
  ProgramRun run;
  ASSERT_EQ(run.run({"train", "gpt.toml", "--run", "out"}), 0) << run.errors();
  const auto text = [&](const std::string& seed) {
    EXPECT_EQ(run.run({"generate", "out", "--prompt", "the worker", "--tokens", "40", "--seed", seed}), 0);
    EXPECT_EQ(run.errors(), "");
    return run.output();
  };
  const std::string first = text("1");
  EXPECT_TRUE(first.starts_with("the worker")) << first;
  EXPECT_EQ(first.size(), 10 + 40 + 1);
  EXPECT_EQ(text("1"), first);
  EXPECT_NE(text("2"), first);
}

TEST(GenerateTest, OfPicturesIsRefused) {
  ProgramRun run;
  ASSERT_EQ(run.run({"train", "mlp.toml", "--run", "out"}), 0) << run.errors();
  EXPECT_EQ(run.run({"generate", "out", "--prompt", "a"}), 2);
  EXPECT_EQ(run.errors(), "convoy: out/checkpoints/step-5: expected a model of text, found data.kind = \"mnist\"\n");
}

// Two workers by hand, as `convoy launch` would start them, one of them with another environment.
constexpr char kUnequalWorkers[] = R"(
convoy=$1
mkdir out && mkfifo address
export CONVOY_TOKEN=$(printf '%064d' 7) CONVOY_WORLD_SIZE=2 CONVOY_LOCAL_WORLD_SIZE=2
CONVOY_ADDRESS_FD=3 "$convoy" scheduler --run=out --workers=2 --steps=5 3>address & scheduler=$!
{ read -r CONVOY_SCHEDULER; read -r CONVOY_SCHEDULER_KEY; } <address
export CONVOY_SCHEDULER CONVOY_SCHEDULER_KEY
CONVOY_RANK=0 CONVOY_LOCAL_RANK=0 "$convoy" train gpt.toml --run out & first=$!
until grep -q worker_joined out/events.jsonl; do sleep 0.02; done
DNNL_MAX_CPU_ISA=AVX2 CONVOY_RANK=1 CONVOY_LOCAL_RANK=1 "$convoy" train gpt.toml --run out & second=$!
codes=
for pid in $scheduler $first $second; do wait $pid; codes="$codes $?"; done
echo exit codes:$codes
)";

TEST(FingerprintTest, AWorkerOfAnotherEnvironmentIsRefusedByName) {
  ProgramRun run;
  ASSERT_EQ(run.run_command({"/bin/sh", "-c", kUnequalWorkers, "sh", CONVOY_PROGRAM}), 0) << run.errors();
  EXPECT_EQ(run.output(), "exit codes: 2 2 2\n");
  const std::regex difference(
      R"(worker 1 \(pid \d+\) does not fit the run: environment variable DNNL_MAX_CPU_ISA: 'AVX2' here, )"
      R"('\(not set\)' there)");
  EXPECT_TRUE(std::regex_search(run.errors() + run.read("out/logs/scheduler.log"), difference)) << run.errors();
  EXPECT_EQ(run.read("out/metrics.jsonl"), "");
}

}  // namespace
}  // namespace convoy
