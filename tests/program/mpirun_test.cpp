// The program under mpirun: how its ranks find each other, how they end, and what the launchers' options of recovery
// are good for. (tests/cluster tests what is read from the environment of other launchers.)
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "tests/program/program_run.h"

namespace convoy {
namespace {

using Words = std::vector<std::string>;
using std::chrono::seconds;

class MpirunTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string(CONVOY_MPIRUN).empty()) GTEST_SKIP() << "there is no MPI here";
  }

  static Words mpirun(int ranks, const Words& arguments) {
    Words words = {"/usr/bin/env",       "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                   CONVOY_MPIRUN,        "--oversubscribe",          "-np",
                   std::to_string(ranks)};
    words.push_back(CONVOY_PROGRAM);
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
  }
  // "NAME=value" for everybody.
  static Words with(const std::string& variable, Words words) {
    words.insert(words.begin() + 1, variable);
    return words;
  }
  static int lines_with(const std::string& text, const std::string& part) {
    int count = 0;
    for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
    return count;
  }
  static std::string logs_of(const ProgramRun& run, const std::string& folder) {
    std::string text;
    for (const auto& entry : std::filesystem::directory_iterator(run.folder() / folder / "logs"))
      text += run.read((folder / std::filesystem::path("logs") / entry.path().filename()).string());
    return text;
  }
};

TEST_F(MpirunTest, EveryRankSaysWhatItIsAndWhyAndRank0SpeaksForAll) {
  ProgramRun run;
  for (const std::string engine : {"local", "mpi"}) {
    ASSERT_EQ(run.run_command(mpirun(2, {"train", "gpt.toml", "--run", engine, "sync.engine=" + engine})), 0)
        << run.errors();
    EXPECT_EQ(lines_with(run.output(),
                         "gpt.toml with 2 workers (Open MPI: OMPI_COMM_WORLD_RANK=0, "
                         "OMPI_COMM_WORLD_SIZE=2); records in " +
                             engine),
              1)
        << run.output();
    EXPECT_EQ(lines_with(run.output(), "step 5/5"), 1) << run.output();
    EXPECT_EQ(run.output().find('\x1b'), std::string::npos) << "a pipe is no terminal";
    const std::string logs = logs_of(run, engine);
    for (const std::string rank : {"0", "1"}) {
      EXPECT_TRUE(std::regex_search(
          logs, std::regex("rank " + rank + " of 2 on host \\S+ \\(Open MPI: OMPI_COMM_WORLD_RANK=" + rank)))
          << logs;
    }
    EXPECT_NE(logs.find("engine " + engine), std::string::npos) << logs;
    EXPECT_FALSE(exists(run.folder() / engine / "scheduler.json"));
    EXPECT_EQ(run.left_behind(seconds(3)), "");
  }
  EXPECT_EQ(nlohmann::json::parse(run.read("mpi/final.json")).at("parameters_hash"),
            nlohmann::json::parse(run.read("local/final.json")).at("parameters_hash"));
}

TEST_F(MpirunTest, TheJobNamesTheRunDirectory) {
  ProgramRun run;
  ASSERT_EQ(run.run_command(mpirun(2, {"train", "mlp.toml", "train.steps=1"})), 0) << run.errors();
  const auto folder = std::filesystem::directory_iterator(run.folder() / "runs")->path();
  EXPECT_TRUE(std::regex_match(folder.filename().string(), std::regex("mlp-\\d+"))) << folder;
  EXPECT_TRUE(exists(folder / "final.json"));
}

TEST_F(MpirunTest, WhatIsWrongBeforeARunIsSaidOnce) {
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"train", "gpt.toml", "train.step=9"},
       "convoy: command line: train.step=9: unknown key; did you mean train.steps?"},
      {{"train", "gpt.toml", "data.context=5000", "sync.engine=mpi"},
       "convoy: command line: data.context=5000: a context"},
      {{"train", "gpt.toml", "train.logical_shards=1"},
       "convoy: 2 workers (Open MPI: OMPI_COMM_WORLD_RANK=0, OMPI_COMM_WORLD_SIZE=2): expected at most one a logical "
       "shard, of which there are 1"},
      {{"train", "gpt.toml", "--passes=fuson"}, "convoy: there is no pass 'fuson'; did you mean 'fusion'?"},
      {{"train", "gpt.toml", "--profile=6:7"}, "convoy: --profile 6:7: expected steps of the run, which has 5"},
      {{"train", "gpt.toml", "--dry-run", "train.graph=dynamic"}, "only a captured step can be shown or profiled"},
      {{"train", "gpt.toml", "--run", "digits"}, "convoy: run directory digits is not empty"}};
  for (const auto& [arguments, message] : cases) {
    ProgramRun run;
    EXPECT_EQ(run.run_command(mpirun(2, arguments)), 2);
    EXPECT_EQ(lines_with(run.errors(), "convoy: "), 1) << run.errors();
    EXPECT_NE(run.errors().find(message), std::string::npos) << run.errors();
    EXPECT_FALSE(exists(run.folder() / "runs"));
    EXPECT_EQ(run.left_behind(seconds(3)), "");
  }
}

TEST_F(MpirunTest, WhatAStepWouldDoIsShownOnceAndNothingIsTrained) {
  for (const std::string engine : {"local", "mpi"}) {
    ProgramRun run;
    ASSERT_EQ(run.run_command(mpirun(2, {"train", "gpt.toml", "--dry-run", "sync.engine=" + engine})), 0)
        << run.errors();
    EXPECT_EQ(lines_with(run.output(), "memory of a worker"), 1) << run.output();
    EXPECT_EQ(lines_with(run.output(), "over 2 workers"), 1) << run.output();
    EXPECT_EQ(lines_with(run.output(), "what a worker sends in a step"), 1) << run.output();
    ASSERT_EQ(run.run_command(mpirun(2, {"train", "gpt.toml", "--print-graph", "sync.engine=" + engine})), 0)
        << run.errors();
    EXPECT_EQ(lines_with(run.output(), "# gradient, captured"), 1) << run.output();
    EXPECT_FALSE(exists(run.folder() / "runs"));
    EXPECT_EQ(run.left_behind(seconds(3)), "");
  }
}

TEST_F(MpirunTest, StepsAreProfiledOnEveryRank) {
  ProgramRun run;
  ASSERT_EQ(run.run_command(mpirun(2, {"train", "mlp.toml", "--run", "out", "--profile=2:3"})), 0) << run.errors();
  EXPECT_EQ(lines_with(run.output(), "2 steps, "), 1) << run.output();
  for (const std::string rank : {"0", "1"})
    EXPECT_TRUE(exists(run.folder() / "out/profile" / ("worker-" + rank + ".json")));
}

// One process that MPI counts as one of one, and its launcher as one of two.
TEST_F(MpirunTest, AnMpiOfAnotherSizeIsRefusedWithBothNumbers) {
  ProgramRun run;
  const Words command = {"/usr/bin/env", "PMI_RANK=0", "PMI_SIZE=2", CONVOY_PROGRAM,   "train",
                         "gpt.toml",     "--run",      "out",        "sync.engine=mpi"};
  EXPECT_EQ(run.run_command(command), 2);
  const std::regex line(
      R"(convoy: MPI counts rank 0 of 1 \(MPI_COMM_WORLD of [^)]+\), but the launcher's variables say )"
      R"(rank 0 of 2 \(PMI: PMI_RANK=0, PMI_SIZE=2\); was the program [^\n]*\n)");
  EXPECT_TRUE(std::regex_search(run.errors(), line)) << run.errors();
  EXPECT_FALSE(exists(run.folder() / "out"));
}

TEST_F(MpirunTest, TheEngineIsRefusedWhereNoMpiLauncherStartedTheWorkers) {
  for (const Words& before : {Words{}, Words{"launch", "-n", "2", "--"}}) {
    ProgramRun run;
    Words words = before;
    words.insert(words.end(), {"train", "gpt.toml", "--run", "out", "sync.engine=mpi"});
    EXPECT_EQ(run.run(words), 2);
    EXPECT_NE(run.errors().find("convoy: command line: sync.engine=mpi: \"mpi\" needs workers that an MPI launcher "
                                "starts (mpirun -np N convoy train RECIPE); this one's place is from: "),
              std::string::npos)
        << run.errors();
    EXPECT_FALSE(exists(run.folder() / "out"));
  }
}

class MpirunKillTest : public MpirunTest, public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Engines, MpirunKillTest, testing::Values("local", "mpi"),
                         [](const auto& engine) { return engine.param; });

TEST_P(MpirunKillTest, AKilledRankEndsTheJobAndLeavesNothing) {
  for (const std::string rank : {"0", "1"}) {
    ProgramRun run;
    run.start(mpirun(2, {"train", "gpt.toml", "--run", "out", "train.steps=1000000", "sync.engine=" + GetParam()}));
    ASSERT_TRUE(run.wait_until([&] { return lines_with(run.read("out/metrics.jsonl"), "\n") > 3; }, seconds(20)))
        << run.errors();
    run.note_resources();
    const auto pid = [&]() -> std::optional<pid_t> {
      for (const pid_t candidate : run.processes()) {
        std::ifstream file("/proc/" + std::to_string(candidate) + "/environ", std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        if (text.find("OMPI_COMM_WORLD_RANK=" + rank) != std::string::npos &&
            testing_support::LaunchedRun::command_line(candidate).find(" train ") != std::string::npos)
          return candidate;
      }
      return std::nullopt;
    }();
    ASSERT_TRUE(pid);
    kill(*pid, SIGKILL);
    const auto exit = run.wait_exit(seconds(20));
    ASSERT_TRUE(exit);
    EXPECT_FALSE(exit->success());
    EXPECT_EQ(run.left_behind(seconds(5)), "");
  }
}

// The values of `field` in each line of a run's metrics.jsonl, or in its final.json.
std::vector<std::string> values_of(const ProgramRun& run, const std::string& file, const std::string& field) {
  std::vector<std::string> values;
  std::istringstream lines(run.read(file));
  if (file.ends_with(".jsonl")) {
    for (std::string line; std::getline(lines, line);) values.push_back(nlohmann::json::parse(line).at(field).dump());
  } else {
    values.push_back(nlohmann::json::parse(lines).at(field).dump());
  }
  return values;
}

// What `run` left in its directory "out" is what it would have left if nothing had happened.
void expect_undisturbed(const ProgramRun& run, const Words& arguments) {
  ProgramRun whole;
  Words words = {"train"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.insert(words.end(), {"--run", "out"});
  ASSERT_EQ(whole.run(words), 0) << whole.errors();
  for (const char* field : {"step", "loss_bits"})
    EXPECT_EQ(values_of(run, "out/metrics.jsonl", field), values_of(whole, "out/metrics.jsonl", field)) << field;
  for (const char* field : {"parameters_hash", "state_hash", "eval_loss"})
    EXPECT_EQ(values_of(run, "out/final.json", field), values_of(whole, "out/final.json", field)) << field;
}

TEST_F(MpirunTest, TheNextStartGoesOnFromTheNewestCheckpoint) {
  const Words arguments = {"gpt.toml", "train.steps=40", "checkpoint.every=10"};
  Words words = {"train"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.insert(words.end(), {"--run", "out", "sync.engine=mpi"});
  ProgramRun run;
  EXPECT_GT(run.run_command(with("CONVOY_AT=1@reduce@25=KILL", mpirun(2, words))), 0);
  EXPECT_FALSE(exists(run.folder() / "out/final.json"));
  EXPECT_EQ(run.left_behind(seconds(5)), "");
  ASSERT_EQ(run.run_command(mpirun(2, words)), 0) << run.errors();
  EXPECT_TRUE(std::regex_search(run.output(), std::regex("out goes on after step [12]0 of 40"))) << run.output();
  expect_undisturbed(run, arguments);
}

// Launchers that are told to let the others live when one dies, and an engine that can do without it.
struct Recovery {
  std::string name;
  std::string launcher;  // "mpirun", "hydra"
  std::string engine;
  std::string at;           // CONVOY_AT
  bool takes_over = false;  // another rank has to keep the scheduler
};
void PrintTo(const Recovery& recovery, std::ostream* out) { *out << recovery.name; }

class LauncherRecoveryTest : public MpirunTest, public testing::WithParamInterface<Recovery> {
 protected:
  void SetUp() override {
    if (GetParam().launcher == "mpirun") return MpirunTest::SetUp();
    if (std::string(CONVOY_HYDRA).empty()) GTEST_SKIP() << "there is no mpiexec.hydra here";
  }
  static Words command(const Words& arguments) {
    if (GetParam().launcher == "mpirun") {
      Words words = mpirun(3, arguments);
      words.insert(words.begin() + 4, "--enable-recovery");
      return words;
    }
    // A proxy for each rank, as if on three hosts: of its own ranks a proxy kills all when one is killed (MPICH 4.0).
    Words words = {"/usr/bin/env",
                   CONVOY_HYDRA,
                   "-disable-auto-cleanup",
                   "-launcher",
                   "fork",
                   "-hosts",
                   "127.0.0.1,127.0.0.2,127.0.0.3",
                   "-ppn",
                   "1",
                   "-n",
                   "3",
                   CONVOY_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
  }
};

TEST_P(LauncherRecoveryTest, TheOthersGoOnToTheEnd) {
  const Recovery& recovery = GetParam();
  const Words arguments = {"gpt.toml", "train.steps=30", "train.logical_shards=4", "checkpoint.every=10"};
  Words words = {"train"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.insert(words.end(), {"--run", "out", "sync.engine=" + recovery.engine});
  ProgramRun run;
  run.start(with("CONVOY_AT=" + recovery.at, command(words)));
  EXPECT_TRUE(run.wait_until([&] { return run.note_resources() > 0; }, seconds(20)));
  const auto exit = run.wait_exit(seconds(60));
  ASSERT_TRUE(exit) << run.output() << run.errors() << logs_of(run, "out");
  ASSERT_TRUE(exists(run.folder() / "out/final.json")) << run.output() << run.errors() << logs_of(run, "out");
  EXPECT_EQ(run.left_behind(seconds(5)), "");
  EXPECT_FALSE(exists(run.folder() / "out/scheduler.json"));
  EXPECT_EQ(lines_with(run.errors(), "keeps a new one") > 0, recovery.takes_over) << run.errors();
  expect_undisturbed(run, arguments);
}

INSTANTIATE_TEST_SUITE_P(Rows, LauncherRecoveryTest,
                         testing::Values(Recovery{"Rank1", "mpirun", "local", "1@reduce@7=KILL"},
                                         Recovery{"Rank2", "mpirun", "gloo", "2@reduce@7=KILL"},
                                         Recovery{"Rank0", "mpirun", "local", "0@reduce@7=KILL", true},
                                         Recovery{"Rank0AndThenAnother", "mpirun", "gloo",
                                                  "0@reduce@7=KILL 1@reduce@12=KILL", true},
                                         Recovery{"Scheduler", "mpirun", "gloo", "scheduler@journaled@1=KILL"},
                                         Recovery{"HydraRank1", "hydra", "gloo", "1@reduce@7=KILL"},
                                         Recovery{"HydraRank2", "hydra", "gloo", "2@update@7=KILL"},
                                         Recovery{"HydraRank0", "hydra", "gloo", "0@reduce@7=KILL", true},
                                         Recovery{"HydraScheduler", "hydra", "gloo", "scheduler@journaled@1=KILL"}),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace convoy
