// Real runs, and whoever may die in them dying at every stage: the exit code, the words, and that nothing is left.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <regex>
#include <thread>

#include "tests/support/launched_run.h"

namespace convoy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing_support::LaunchedRun;
using Clock = std::chrono::steady_clock;

// From a death to the end of everything.
constexpr seconds kDeadline{8};

constexpr char kRecipe[] = R"(
[model]
kind = "gpt"
layers = 1
heads = 1
width = 16
[data]
kind = "text"
path = "text.txt"
context = 16
[optimizer]
kind = "adamw"
lr = 1e-3
[train]
steps = 1000000
global_batch = 8
logical_shards = 8
)";

class ChaosTest : public testing::Test {
 protected:
  static void write_inputs(const LaunchedRun& run) {
    std::ofstream(run.folder() / "tiny.toml") << kRecipe;
    std::ofstream text(run.folder() / "text.txt");
    for (int i = 0; i < 500; ++i) text << "line " << i << " of a text that nobody needs to read\n";
  }
  static void launch(LaunchedRun& run, const std::vector<std::string>& overrides = {}) {
    write_inputs(run);
    std::vector<std::string> command{CONVOY_PROGRAM, "launch", "-n", "2", "--run", "out", "--", "train", "tiny.toml"};
    command.insert(command.end(), overrides.begin(), overrides.end());
    run.start(command);
  }
  static int steps_done(const LaunchedRun& run) {
    std::ifstream metrics(run.folder() / "out/metrics.jsonl");
    int lines = 0;
    for (std::string line; std::getline(metrics, line);) ++lines;
    return lines;
  }
  static void wait_for_steps(LaunchedRun& run) {
    ASSERT_TRUE(LaunchedRun::wait_until([&] { return steps_done(run) >= 3; }, seconds(60)))
        << run.output() << run.errors();
  }
  static void expect_to_go_on(LaunchedRun& run) {
    const int before = steps_done(run);
    EXPECT_TRUE(LaunchedRun::wait_until([&] { return steps_done(run) > before + 20; }, seconds(30)))
        << run.output() << run.errors();
  }
  // A step by one worker, and later one by two.
  static void expect_to_be_replaced(LaunchedRun& run) {
    EXPECT_TRUE(LaunchedRun::wait_until(
        [&] {
          std::ifstream metrics(run.folder() / "out/metrics.jsonl");
          bool alone = false;
          bool together = false;
          for (std::string line; std::getline(metrics, line);) {
            alone = alone || line.find("\"world\": 1,") != std::string::npos;
            together = alone && line.find("\"world\": 2,") != std::string::npos;
          }
          return together;
        },
        seconds(30)))
        << run.output() << run.errors();
  }
  // Returns when.
  static Clock::time_point strike(LaunchedRun& run, pid_t victim, int signal) {
    run.note_resources();
    const Clock::time_point now = Clock::now();
    EXPECT_EQ(kill(victim, signal), 0);
    return now;
  }
  static Clock::time_point strike_running(LaunchedRun& run, pid_t victim, int signal) {
    // What is looked for later on is there now: a socket and a segment of each worker.
    EXPECT_GE(run.note_resources(), 4U);
    const std::string held = run.left_behind(milliseconds(0));
    EXPECT_NE(held.find("\nsocket @convoy-"), std::string::npos) << held;
    EXPECT_NE(held.find("\nsegment "), std::string::npos) << held;
    return strike(run, victim, signal);
  }
  static milliseconds until(Clock::time_point time) {
    return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(time - Clock::now()));
  }
  // What was started ends, and so does everything else of the run.
  static void expect_end(LaunchedRun& run, const ExitStatus& expected, Clock::time_point deadline) {
    const auto status = run.wait_exit(until(deadline));
    ASSERT_TRUE(status.has_value()) << "still running\n" << run.errors();
    EXPECT_EQ(*status, expected) << run.errors();
    EXPECT_EQ(run.left_behind(until(deadline)), "");
  }
  static void expect_end(LaunchedRun& run, int exit_code, Clock::time_point deadline) {
    expect_end(run, {.exit_code = exit_code, .signal = 0}, deadline);
  }
  static void expect_error(const LaunchedRun& run, const std::string& pattern) {
    EXPECT_TRUE(std::regex_search(run.errors(), std::regex(pattern))) << pattern << "\nin\n" << run.errors();
  }
  static std::string killed(const std::string& who, pid_t pid) {
    return "convoy: " + who + " \\(pid " + std::to_string(pid) + "\\) was killed by signal 9 \\(SIGKILL\\)";
  }
};

TEST_F(ChaosTest, KilledWorkerIsNamedAndReplaced) {
  for (const int rank : {0, 1}) {
    LaunchedRun run("chaos");
    launch(run);
    wait_for_steps(run);
    const std::string variable = "CONVOY_RANK=" + std::to_string(rank);
    const pid_t victim = run.with_variable(variable).value();
    strike_running(run, victim, SIGKILL);
    expect_to_be_replaced(run);
    EXPECT_NE(run.with_variable(variable), victim);
    expect_error(
        run, killed("worker " + std::to_string(rank), victim) + " at step [1-9][0-9]*; a new one takes its place\n");
    expect_end(run, 75, strike(run, run.pid(), SIGTERM) + kDeadline);
  }
}

TEST_F(ChaosTest, KilledSchedulerIsNamedAndReplaced) {
  LaunchedRun run("chaos");
  launch(run);
  wait_for_steps(run);
  const pid_t victim = run.with_command("scheduler").value();
  strike_running(run, victim, SIGKILL);
  expect_to_go_on(run);
  EXPECT_NE(run.with_command("scheduler"), victim);
  expect_error(run, killed("the scheduler", victim) + " after step [0-9]+; a new one takes its place\n");
  expect_end(run, 75, strike(run, run.pid(), SIGTERM) + kDeadline);
}

TEST_F(ChaosTest, StoppedWorkerIsExcludedEvenDuringAnEvaluation) {
  LaunchedRun run("chaos");
  // The held-out part is large: the run is nearly always in an evaluation.
  launch(run, {"fault.suspect=2", "data.eval_fraction=0.9", "train.eval_every=1"});
  wait_for_steps(run);
  const pid_t victim = run.with_variable("CONVOY_RANK=1").value();
  strike_running(run, victim, SIGSTOP);
  expect_to_be_replaced(run);
  expect_error(run, "convoy: worker 1 \\(pid " + std::to_string(victim) + "\\) was excluded \\(.* silent ");
  EXPECT_EQ(run.errors().find("worker 0"), std::string::npos) << run.errors();
  expect_end(run, 75, strike(run, run.pid(), SIGTERM) + kDeadline);
}

TEST_F(ChaosTest, StoppedSchedulerIsReplacedAndHoldsNoRun) {
  LaunchedRun run("chaos");
  launch(run, {"train.steps=1500"});
  wait_for_steps(run);
  const pid_t victim = run.with_command("scheduler").value();
  expect_end(run, 0, strike_running(run, victim, SIGSTOP) + seconds(45));
  expect_error(run, "the scheduler \\(pid " + std::to_string(victim) + "\\) has been silent for 1[0-9] s\n");
  EXPECT_EQ(steps_done(run), 1500);
}

TEST_F(ChaosTest, KilledLauncherTakesEverybodyAlong) {
  LaunchedRun run("chaos");
  launch(run);
  wait_for_steps(run);
  ASSERT_GE(run.processes().size(), 4U);
  const auto deadline = strike_running(run, run.pid(), SIGKILL) + kDeadline;
  expect_end(run, {.exit_code = 0, .signal = SIGKILL}, deadline);
}

TEST_F(ChaosTest, WorkerKilledWhileItStartsIsReplaced) {
  for (const int delay_ms : {0, 5, 20, 60}) {
    LaunchedRun run("chaos");
    launch(run);
    std::optional<pid_t> victim;
    ASSERT_TRUE(LaunchedRun::wait_until([&] { return (victim = run.with_variable("CONVOY_RANK=1")).has_value(); },
                                        seconds(20)));
    std::this_thread::sleep_for(milliseconds(delay_ms));
    strike(run, *victim, SIGKILL);
    wait_for_steps(run);
    LaunchedRun::wait_until([&] { return !run.errors().empty(); }, seconds(10));
    expect_error(run, killed("worker 1", *victim));
    expect_end(run, 75, strike(run, run.pid(), SIGTERM) + kDeadline);
  }
}

TEST_F(ChaosTest, SchedulerKilledWhileItStartsIsNamed) {
  for (const int delay_ms : {0, 5, 20, 60}) {
    LaunchedRun run("chaos");
    launch(run);
    std::optional<pid_t> victim;
    ASSERT_TRUE(
        LaunchedRun::wait_until([&] { return (victim = run.with_command("scheduler")).has_value(); }, seconds(20)));
    std::this_thread::sleep_for(milliseconds(delay_ms));
    strike(run, *victim, SIGKILL);
    // Before there are workers the run has not begun; later the next one goes on with them.
    const auto ended = run.wait_exit(seconds(5));
    expect_error(run, killed("the scheduler", *victim));
    if (ended) {
      EXPECT_EQ(*ended, (ExitStatus{.exit_code = 1, .signal = 0})) << run.errors();
      EXPECT_EQ(run.left_behind(kDeadline), "");
    } else {
      wait_for_steps(run);
      expect_end(run, 75, strike(run, run.pid(), SIGTERM) + kDeadline);
    }
  }
}

TEST_F(ChaosTest, LauncherKilledWhileItStartsLeavesNothing) {
  for (const int delay_ms : {0, 3, 10, 30, 60, 100, 200}) {
    LaunchedRun run("chaos");
    launch(run);
    std::this_thread::sleep_for(milliseconds(delay_ms));
    SCOPED_TRACE(delay_ms);
    const auto deadline = strike(run, run.pid(), SIGKILL) + kDeadline;
    expect_end(run, {.exit_code = 0, .signal = SIGKILL}, deadline);
  }
}

TEST_F(ChaosTest, SignalsEndARunInOrder) {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) {
    LaunchedRun run("chaos");
    launch(run);
    wait_for_steps(run);
    expect_end(run, 75, strike_running(run, run.pid(), signal) + kDeadline);
    expect_error(run, "convoy: stopped by " + signal_name(signal) +
                          " after step ([0-9]+); checkpoint out/checkpoints/step-\\1; run `convoy resume out` to go "
                          "on\n$");
    // In order: nobody had to be killed, and every step that was reported is on record.
    EXPECT_EQ(run.errors().find("killed"), std::string::npos) << run.errors();
    std::ifstream events(run.folder() / "out/events.jsonl");
    const std::string text{std::istreambuf_iterator<char>(events), {}};
    EXPECT_NE(text.find("worker_left"), std::string::npos) << text;
    EXPECT_EQ(text.find("worker_lost"), std::string::npos) << text;
  }
}

TEST_F(ChaosTest, SignalsEndEvenWhatReadsItsDataForEver) {
  for (const bool launched : {false, true}) {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      LaunchedRun run("chaos");
      write_inputs(run);
      // A file whose open() waits for a writer that never comes.
      std::filesystem::remove(run.folder() / "text.txt");
      ASSERT_EQ(mkfifo((run.folder() / "text.txt").c_str(), 0600), 0);
      std::vector<std::string> command{CONVOY_PROGRAM};
      if (launched) command.insert(command.end(), {"launch", "-n", "2", "--"});
      command.insert(command.end(), {"train", "tiny.toml", "--run", "out"});
      run.start(command);
      std::this_thread::sleep_for(milliseconds(300));
      expect_end(run, 1, strike(run, run.pid(), signal) + kDeadline);
      EXPECT_EQ(run.errors(), "convoy: stopped by " + signal_name(signal) + " before the run began\n");
    }
  }
}

TEST_F(ChaosTest, RunOfOneEndsInOrderOnASignalAndLeavesNothingWhenKilled) {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGKILL}) {
    LaunchedRun run("chaos");
    write_inputs(run);
    run.start({CONVOY_PROGRAM, "train", "tiny.toml", "--run", "out"});
    wait_for_steps(run);
    const bool killed = signal == SIGKILL;
    const auto deadline = strike(run, run.pid(), signal) + kDeadline;
    expect_end(run, {.exit_code = killed ? 0 : 75, .signal = killed ? SIGKILL : 0}, deadline);
    if (!killed) expect_error(run, "convoy: [^\n]*" + signal_name(signal));
  }
}

class SchedulerAloneTest : public ChaosTest {
 protected:
  void start(LaunchedRun& run) {
    write_inputs(run);
    run.start({CONVOY_PROGRAM, "scheduler", "--run", "out", "--workers", "1", "--steps", "3"});
    file_ = run.folder() / "out/scheduler.json";
    ASSERT_TRUE(LaunchedRun::wait_until([&] { return !run.output().empty(); }, seconds(20))) << run.errors();
  }
  std::string value(const std::string& key) const {
    std::ifstream file(file_);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::smatch found;
    EXPECT_TRUE(std::regex_search(text, found, std::regex("\"" + key + "\": \"([^\"]+)\""))) << text;
    return found[1];
  }

  std::filesystem::path file_;
};

TEST_F(SchedulerAloneTest, LeavesInAFileWhatAWorkerNeeds) {
  LaunchedRun run("chaos");
  start(run);
  EXPECT_EQ(std::filesystem::status(file_).permissions(), std::filesystem::perms(0600));
  EXPECT_NE(run.output().find("out/scheduler.json\n"), std::string::npos) << run.output();
  EXPECT_EQ(run.output().find(value("token")), std::string::npos) << "it is a secret";

  LaunchedRun worker("chaos");
  write_inputs(worker);
  worker.start({"/usr/bin/env", "CONVOY_RANK=0", "CONVOY_WORLD_SIZE=1", "CONVOY_LOCAL_RANK=0",
                "CONVOY_LOCAL_WORLD_SIZE=1", "CONVOY_SCHEDULER=" + value("address"),
                "CONVOY_SCHEDULER_KEY=" + value("public_key"), "CONVOY_TOKEN=" + value("token"), CONVOY_PROGRAM,
                "train", "tiny.toml", "--run", run.folder() / "out", "train.steps=3"});
  expect_end(worker, 0, Clock::now() + seconds(30));
  expect_end(run, 0, Clock::now() + seconds(10));
  EXPECT_EQ(steps_done(run), 3);
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(SchedulerAloneTest, EndsOnASignalAndTakesItsFileAlong) {
  LaunchedRun run("chaos");
  start(run);
  expect_end(run, 1, strike(run, run.pid(), SIGTERM) + kDeadline);
  EXPECT_EQ(run.errors(), "convoy: the scheduler was stopped by SIGTERM\n");
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(ChaosTest, WrongInputIsSaidOnceBeforeAnythingStarts) {
  LaunchedRun run("chaos");
  write_inputs(run);
  run.start({CONVOY_PROGRAM, "launch", "-n", "9", "--run", "out", "--", "train", "tiny.toml"});
  expect_end(run, 2, Clock::now() + seconds(20));
  EXPECT_EQ(run.errors(),
            "convoy: -n 9: expected at most one worker a logical shard, of which there are 8 (tiny.toml:17: "
            "train.logical_shards)\n");
  EXPECT_FALSE(std::filesystem::exists(run.folder() / "out"));
}

TEST_F(ChaosTest, MoreWorkersThanAMachineTakesAreRefused) {
  LaunchedRun run("chaos");
  write_inputs(run);
  run.start({CONVOY_PROGRAM, "launch", "-n", "257", "--", "train", "tiny.toml", "train.logical_shards=512",
             "train.global_batch=512"});
  expect_end(run, 2, Clock::now() + seconds(20));
  EXPECT_EQ(run.errors(), "convoy: -n 257: expected at most 256 workers on one machine\n");
}

TEST_F(ChaosTest, TooManyWorkersForAnOverrideReadWell) {
  LaunchedRun run("chaos");
  write_inputs(run);
  run.start({CONVOY_PROGRAM, "launch", "-n", "3", "--", "train", "tiny.toml", "train.logical_shards=2"});
  expect_end(run, 2, Clock::now() + seconds(20));
  EXPECT_EQ(run.errors(),
            "convoy: -n 3: expected at most one worker a logical shard, of which there are 2 (command line: "
            "train.logical_shards=2)\n");
}

TEST_F(ChaosTest, UsedRunDirectoryIsRefused) {
  LaunchedRun run("chaos");
  write_inputs(run);
  std::filesystem::create_directory(run.folder() / "out");
  std::ofstream(run.folder() / "out/notes") << "mine";
  run.start({CONVOY_PROGRAM, "launch", "-n", "2", "--run", "out", "--", "train", "tiny.toml"});
  expect_end(run, 2, Clock::now() + seconds(20));
  EXPECT_EQ(run.errors(), "convoy: run directory out is not empty: name another one with --run\n");
}

}  // namespace
}  // namespace convoy
