// The launcher with a stand-in for scheduler and workers, as real processes: whatever dies or misbehaves.
#include "launcher/supervisor.h"

#include <gtest/gtest.h>

#include <csignal>
#include <regex>
#include <thread>

#include "tests/support/launched_run.h"

namespace convoy::launcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing_support::LaunchedRun;

class SupervisorTest : public testing::Test {
 protected:
  void start(std::vector<std::string> options = {}) {
    std::vector<std::string> command{STAND_IN, "launch"};
    command.insert(command.end(), options.begin(), options.end());
    run_.start(command);
  }
  // A stand-in step takes 20 ms or less; the launcher has heard of one when it prints its first progress line.
  void wait_for_steps() {
    ASSERT_TRUE(run_.wait_until([&] { return run_.output().find("loss 1.5") != std::string::npos; }, seconds(10)))
        << run_.output() << run_.errors();
  }
  pid_t worker(int rank) { return run_.with_variable("CONVOY_RANK=" + std::to_string(rank)).value(); }
  pid_t scheduler() { return run_.with_command("scheduler").value(); }

  void expect_exit(int code, milliseconds limit = seconds(10)) {
    const auto status = run_.wait_exit(limit);
    ASSERT_TRUE(status.has_value()) << "still running\n" << run_.errors();
    EXPECT_EQ(*status, (ExitStatus{.exit_code = code, .signal = 0})) << run_.errors();
    EXPECT_EQ(run_.left_behind(seconds(3)), "");
  }
  void expect_error(const std::string& pattern) {
    EXPECT_TRUE(std::regex_search(run_.errors(), std::regex(pattern))) << pattern << "\nin\n" << run_.errors();
  }
  int count(const std::string& text, const std::string& in) {
    int found = 0;
    for (std::size_t at = in.find(text); at != std::string::npos; at = in.find(text, at + 1)) ++found;
    return found;
  }

  LaunchedRun run_{"supervisor"};
};

TEST_F(SupervisorTest, CompleteRunExitsWithZeroAndForwardsLines) {
  start({"--short"});
  expect_exit(0);
  EXPECT_NE(run_.output().find("[0] hello from 0\n"), std::string::npos) << run_.output();
  EXPECT_NE(run_.output().find("[1] hello from 1\n"), std::string::npos) << run_.output();
  EXPECT_EQ(run_.errors(), "");
}

TEST_F(SupervisorTest, KilledWorkerEndsTheRunWithOneLineThatNamesIt) {
  start();
  wait_for_steps();
  const pid_t victim = worker(1);
  kill(victim, SIGKILL);
  expect_exit(1, seconds(4));
  expect_error("^convoy: worker 1 \\(pid " + std::to_string(victim) +
               "\\) was killed by signal 9 \\(SIGKILL\\) at step [1-9][0-9]*\n$");
}

TEST_F(SupervisorTest, WorkerThatIgnoresEverythingIsKilledAfterAWhile) {
  start({"--stubborn"});
  wait_for_steps();
  kill(worker(0), SIGKILL);
  expect_exit(1, seconds(5));
  expect_error("^convoy: worker 0 .*SIGKILL");
}

TEST_F(SupervisorTest, SilentSchedulerLeavesTheVerdictToTheLauncher) {
  start({"--deaf"});
  ASSERT_TRUE(run_.wait_until([&] { return run_.with_variable("CONVOY_RANK=1").has_value(); }, seconds(10)));
  const pid_t victim = worker(1);
  kill(victim, SIGKILL);
  expect_exit(1, seconds(8));
  expect_error(
      "^convoy: worker 1 \\(pid " + std::to_string(victim) +
      "\\) was killed by signal 9 \\(SIGKILL\\) after step 0; the scheduler \\(pid [0-9]+\\) did not answer\n");
}

TEST_F(SupervisorTest, KilledSchedulerEndsTheRun) {
  start();
  wait_for_steps();
  const pid_t victim = scheduler();
  kill(victim, SIGKILL);
  expect_exit(1, seconds(4));
  expect_error("convoy: the scheduler \\(pid " + std::to_string(victim) +
               "\\) was killed by signal 9 \\(SIGKILL\\) after step [1-9][0-9]*; stopping\n");
}

TEST_F(SupervisorTest, SchedulerThatNeverSpeaksIsNamed) {
  start({"--mute"});
  expect_exit(1, seconds(6));
  expect_error("^convoy: the scheduler \\(pid [0-9]+\\) did not publish its address within 1.5 s\n$");
}

TEST_F(SupervisorTest, SchedulerThatEndsAtOnceIsNamedAfterItsOwnWords) {
  start({"--refuse"});
  expect_exit(1, seconds(6));
  expect_error(
      "^\\[scheduler\\] convoy: cannot bind\nconvoy: the scheduler \\(pid [0-9]+\\) exited with code 1 before it");
}

TEST_F(SupervisorTest, WrongUsageOfAllWorkersIsSaidOnceAndPassedOn) {
  start({"--usage"});
  expect_exit(2);
  EXPECT_EQ(count("model.kind", run_.errors()), 1) << run_.errors();
}

TEST_F(SupervisorTest, WhyAWorkerFailedIsSaidOnce) {
  start({"--fail"});
  expect_exit(1);
  EXPECT_EQ(count("samples.bin: is cut short\n", run_.errors()), 1) << run_.errors();
}

TEST_F(SupervisorTest, WhyAWorkerFailedIsSaidOnceWhenTheSchedulerIsFirst) {
  start({"--fail", "--late"});
  expect_exit(1);
  EXPECT_EQ(run_.errors(), "convoy: worker 1: samples.bin: is cut short\n");
}

TEST_F(SupervisorTest, TheSchedulerDecidesWhetherItWasWrongUsage) {
  start({"--usage", "--no-usage"});
  expect_exit(1);
}

TEST_F(SupervisorTest, FirstSignalAsksTheSchedulerAndSaysSo) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    LaunchedRun run("supervisor");
    run.start({STAND_IN, "launch"});
    ASSERT_TRUE(run.wait_until([&] { return run.output().find("loss 1.5") != std::string::npos; }, seconds(10)));
    kill(run.pid(), signal);
    const auto status = run.wait_exit(seconds(5));
    EXPECT_EQ(status, (ExitStatus{.exit_code = 1, .signal = 0})) << signal_name(signal);
    EXPECT_NE(run.errors().find("convoy: stopped by " + signal_name(signal) + " at step "), std::string::npos)
        << run.errors();
    EXPECT_EQ(run.left_behind(seconds(3)), "");
  }
}

TEST_F(SupervisorTest, SignalThatAStoppedSchedulerDoesNotAnswerEndsTheRun) {
  start();
  wait_for_steps();
  const pid_t stopped = scheduler();
  kill(stopped, SIGSTOP);
  kill(run_.pid(), SIGINT);
  expect_exit(1, seconds(4));
  expect_error("\nconvoy: stopped by SIGINT; the scheduler \\(pid " + std::to_string(stopped) +
               "\\) did not answer\n$");
}

TEST_F(SupervisorTest, SecondSignalEndsWorkersThatDoNotLeave) {
  start({"--stubborn"});
  wait_for_steps();
  kill(run_.pid(), SIGINT);
  std::this_thread::sleep_for(milliseconds(700));
  ASSERT_TRUE(run_.with_variable("CONVOY_RANK=0").has_value());
  kill(run_.pid(), SIGINT);
  expect_exit(1, seconds(1));
}

TEST_F(SupervisorTest, WorkersThatDoNotLeaveInTimeAreKilledAndNamed) {
  start({"--stubborn"});
  wait_for_steps();
  kill(run_.pid(), SIGTERM);
  expect_exit(1, seconds(6));
  expect_error("convoy: workers 0, 1 did not leave within 2 s and were killed\n");
}

TEST_F(SupervisorTest, SignalDuringTheStartEndsIt) {
  start({"--mute"});
  ASSERT_TRUE(run_.wait_until([&] { return run_.with_command("scheduler").has_value(); }, seconds(5)));
  kill(run_.pid(), SIGINT);
  expect_exit(1, seconds(3));
  expect_error("^convoy: stopped by SIGINT before the workers had started\n$");
}

TEST_F(SupervisorTest, KilledLauncherTakesEverybodyAlongAtAnyInstant) {
  for (const int delay_ms : {0, 2, 5, 10, 20, 40, 80, 300}) {
    LaunchedRun run("supervisor");
    run.start({STAND_IN, "launch"});
    std::this_thread::sleep_for(milliseconds(delay_ms));
    kill(run.pid(), SIGKILL);
    ASSERT_TRUE(run.wait_exit(seconds(5)).has_value());
    EXPECT_EQ(run.left_behind(seconds(3)), "") << "killed after " << delay_ms << " ms";
  }
}

TEST_F(SupervisorTest, KilledLauncherTakesGrandchildrenAlong) {
  start({"--grandchild"});
  wait_for_steps();
  ASSERT_EQ(run_.processes().size(), 6U);
  kill(run_.pid(), SIGKILL);
  ASSERT_TRUE(run_.wait_exit(seconds(5)).has_value());
  EXPECT_EQ(run_.left_behind(seconds(3)), "");
}

TEST_F(SupervisorTest, KilledWorkerTakesItsChildrenAlong) {
  start({"--grandchild"});
  wait_for_steps();
  kill(worker(0), SIGKILL);
  expect_exit(1, seconds(4));
}

TEST_F(SupervisorTest, TokenIsNeverOnACommandLine) {
  start();
  wait_for_steps();
  for (const pid_t pid : run_.processes()) {
    EXPECT_EQ(run_.command_line(pid).find("tcp://"), std::string::npos);
    EXPECT_FALSE(std::regex_search(run_.command_line(pid), std::regex("[0-9a-f]{64}")));
  }
}

}  // namespace
}  // namespace convoy::launcher
