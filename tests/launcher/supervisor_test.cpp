// The launcher with a stand-in for scheduler and workers, as real processes: whatever dies or misbehaves.
#include "launcher/supervisor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
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
  // The process that takes the place of `former`.
  pid_t replacement(int rank, pid_t former) {
    std::optional<pid_t> found;
    EXPECT_TRUE(run_.wait_until(
        [&] {
          found = run_.with_variable("CONVOY_RANK=" + std::to_string(rank));
          return found && *found != former;
        },
        seconds(10)))
        << run_.errors();
    return found.value_or(-1);
  }
  void wait_for_output(const std::string& text) {
    ASSERT_TRUE(run_.wait_until([&] { return run_.output().find(text) != std::string::npos; }, seconds(10)))
        << text << "\nin\n"
        << run_.output() << run_.errors();
  }
  // The run still ends as it should when it is asked to.
  void expect_stop() {
    kill(run_.pid(), SIGTERM);
    expect_exit(75);
  }
  void insist() {
    kill(run_.pid(), SIGINT);
    std::this_thread::sleep_for(milliseconds(700));
    kill(run_.pid(), SIGINT);
  }

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

TEST_F(SupervisorTest, KilledWorkerIsReplacedInOneLineThatNamesIt) {
  start();
  wait_for_steps();
  const pid_t victim = worker(1);
  kill(victim, SIGKILL);
  const pid_t next = replacement(1, victim);
  EXPECT_EQ(run_.errors().find("convoy: worker 1 (pid " + std::to_string(victim) +
                               ") was killed by signal 9 (SIGKILL) at step "),
            0U)
      << run_.errors();
  expect_error("^[^\n]* at step [1-9][0-9]*; a new one takes its place\n$");
  wait_for_output(fmt::format("[scheduler] ended 1 {} 0 9 replaced\n", victim));
  EXPECT_EQ(run_.with_variable("CONVOY_REPLACES=1"), next);
  kill(next, SIGKILL);  // soon after its start: the next one waits
  const pid_t last = replacement(1, next);
  EXPECT_EQ(run_.with_variable("CONVOY_REPLACES=2"), last);
  expect_error("at step [1-9][0-9]*; a new one takes its place in 0.1 s\n$");
  expect_stop();
}

TEST_F(SupervisorTest, TheOthersStayAsTheyAre) {
  start();
  wait_for_steps();
  const pid_t other = worker(0);
  const pid_t victim = worker(1);
  kill(victim, SIGKILL);
  replacement(1, victim);
  EXPECT_EQ(worker(0), other);
  expect_stop();
}

TEST_F(SupervisorTest, WorkerIsReplacedAsOftenAsAllowed) {
  start({"--crash", "--max-restarts=3"});
  wait_for_output("[scheduler] ended 1 ");
  ASSERT_TRUE(run_.wait_until([&] { return count("; no restarts are left\n", run_.errors()) == 1; }, seconds(10)))
      << run_.errors();
  EXPECT_EQ(count("SIGKILL", run_.errors()), 4) << run_.errors();
  EXPECT_EQ(count("takes its place\n", run_.errors()), 1) << run_.errors();
  EXPECT_EQ(count("takes its place in 0.1 s\n", run_.errors()), 1) << run_.errors();
  EXPECT_EQ(count("takes its place in 0.2 s\n", run_.errors()), 1) << run_.errors();
  EXPECT_EQ(count(" replaced\n", run_.output()), 3) << run_.output();
  ASSERT_TRUE(run_.with_variable("CONVOY_RANK=0").has_value()) << "the run goes on without it";
  expect_stop();
}

TEST_F(SupervisorTest, WithoutRestartsTheLastWorkersEndIsTheRuns) {
  start({"--max-restarts=0"});
  wait_for_steps();
  const pid_t first = worker(0);
  const pid_t last = worker(1);
  kill(first, SIGKILL);
  wait_for_output(fmt::format("ended 0 {} 0 9\n", first));
  kill(last, SIGKILL);
  expect_exit(1, seconds(4));
  expect_error(
      fmt::format("^convoy: worker 0 \\(pid {}\\) was killed [^\n]*; no restarts are left\n"
                  "convoy: worker 1 \\(pid {}\\) was killed [^\n]*; no restarts are left\n"
                  "convoy: worker 1 \\(pid {}\\) was killed by signal 9 \\(SIGKILL\\) at step [0-9]+\n$",
                  first, last, last));
}

TEST_F(SupervisorTest, ADeathThatWasSurvivedIsNoFailure) {
  start({"--max-restarts=0", "--steps=50"});
  wait_for_steps();
  kill(worker(1), SIGKILL);
  expect_exit(0);
}

TEST_F(SupervisorTest, WhoDiesWhenTheRunIsCompleteIsNotReplaced) {
  start({"--linger", "--steps=5"});  // worker 1 does all steps and does not leave
  wait_for_output("[0] hello");
  ASSERT_TRUE(run_.wait_until([&] { return !run_.with_variable("CONVOY_RANK=0"); }, seconds(10)));
  kill(worker(1), SIGKILL);
  expect_exit(0);
  EXPECT_EQ(count("takes its place", run_.errors()), 0) << run_.errors();
}

TEST_F(SupervisorTest, WorkerThatExitsThreeTimesBeforeAnyStepIsGivenUp) {
  start({"--exit"});
  ASSERT_TRUE(
      run_.wait_until([&] { return run_.errors().find("there will be no other") != std::string::npos; }, seconds(10)))
      << run_.errors();
  EXPECT_EQ(count("exited with code 3 at step 1", run_.errors()), 3) << run_.errors();
  expect_stop();
}

TEST_F(SupervisorTest, ExcludedWorkerIsKilledReportedAndReplaced) {
  start({"--stubborn"});
  wait_for_steps();
  const pid_t victim = worker(1);
  kill(victim, SIGSTOP);
  kill(scheduler(), SIGUSR2);
  replacement(1, victim);
  const std::string answer = fmt::format("[scheduler] ended 1 {} 0 9 replaced\n", victim);
  wait_for_output(answer);
  expect_error("^convoy: worker 1 \\(pid " + std::to_string(victim) +
               "\\) was excluded \\(it hangs\\) and killed at step [0-9]+; a new one takes its place\n$");
  kill(scheduler(), SIGUSR1);  // it has not heard
  ASSERT_TRUE(run_.wait_until([&] { return count(answer, run_.output()) == 2; }, seconds(5))) << run_.output();
  insist();
  expect_exit(1, seconds(5));
}

TEST_F(SupervisorTest, WorkerThatIgnoresEverythingIsKilledAfterAWhile) {
  start({"--stubborn", "--fail"});
  expect_exit(1, seconds(5));
  EXPECT_EQ(count("samples.bin: is cut short\n", run_.errors()), 1) << run_.errors();  // whoever says it first
}

TEST_F(SupervisorTest, SilentSchedulerLeavesTheVerdictToTheLauncher) {
  start({"--deaf", "--max-restarts=0"});
  ASSERT_TRUE(run_.wait_until([&] { return run_.with_variable("CONVOY_RANK=1").has_value(); }, seconds(10)));
  kill(worker(1), SIGKILL);
  kill(worker(0), SIGKILL);
  expect_exit(1, seconds(8));
  expect_error("\nconvoy: no worker is left after step 0; the scheduler \\(pid [0-9]+\\) did not answer\n$");
}

TEST_F(SupervisorTest, KilledSchedulerIsReplacedAtTheSameAddress) {
  start();
  wait_for_steps();
  const pid_t first = worker(0);
  const pid_t second = worker(1);
  kill(second, SIGKILL);  // what the next scheduler must hear of
  const pid_t third = replacement(1, second);
  const std::string ended = fmt::format("[scheduler] ended 1 {} 0 9 replaced\n", second);
  wait_for_output(ended);
  const pid_t victim = scheduler();
  kill(victim, SIGKILL);
  wait_for_output("[scheduler] again\n");
  EXPECT_NE(scheduler(), victim);
  ASSERT_TRUE(run_.wait_until([&] { return count(ended, run_.output()) == 2; }, seconds(5))) << run_.output();
  EXPECT_EQ(worker(0), first) << "workers live on";
  EXPECT_EQ(worker(1), third);
  expect_error("\nconvoy: the scheduler \\(pid " + std::to_string(victim) +
               "\\) was killed by signal 9 \\(SIGKILL\\) after step [1-9][0-9]*; a new one takes its place\n$");
  expect_stop();
}

TEST_F(SupervisorTest, RunWhoseSchedulerWasReplacedEndsAsOthersDo) {
  start({"--steps=100"});
  wait_for_steps();
  kill(scheduler(), SIGKILL);
  expect_exit(0, seconds(15));
}

TEST_F(SupervisorTest, TheLastSchedulerEndsTheRunInOrder) {
  start({"--scheduler-restarts=1"});
  wait_for_steps();
  kill(scheduler(), SIGKILL);
  wait_for_output("[scheduler] again\n");
  kill(scheduler(), SIGKILL);
  expect_exit(75);
  expect_error(
      "convoy: the scheduler \\(pid [0-9]+\\) was killed by signal 9 \\(SIGKILL\\) after step [1-9][0-9]*; no "
      "restarts are left: the next one only sees to it that the workers finish their step, write a checkpoint and "
      "leave\n");
  expect_error("\nconvoy: the scheduler was restarted too often at step [0-9]+\n$");
}

TEST_F(SupervisorTest, WithoutAnySchedulerTheWorkersSaveTheStateThemselves) {
  start({"--refuse-again", "--scheduler-restarts=2", "--alone"});
  wait_for_steps();
  kill(scheduler(), SIGKILL);
  expect_exit(75);
  EXPECT_EQ(count("convoy: cannot bind\n", run_.errors()), 1) << "said once\n" << run_.errors();
  expect_error(
      "convoy: the scheduler \\(pid [0-9]+\\) exited with code 1 after step [1-9][0-9]*; no restarts are left, stopped "
      "after a checkpoint\n$");
}

TEST_F(SupervisorTest, WorkersThatDoNotSaveTheStateInTimeAreKilledAndNamed) {
  start({"--refuse-again", "--scheduler-restarts=0", "--stubborn"});
  wait_for_steps();
  kill(scheduler(), SIGKILL);
  expect_exit(1);
  expect_error("\nconvoy: workers 0, 1 did not leave within 2 s and were killed\n$");
}

TEST_F(SupervisorTest, WorkerMayDieWhileTheSchedulerDoes) {
  start();
  wait_for_steps();
  const pid_t victim = worker(1);
  kill(scheduler(), SIGKILL);
  kill(victim, SIGKILL);
  replacement(1, victim);
  wait_for_output(fmt::format("[scheduler] ended 1 {} 0 9 replaced\n", victim));
  expect_stop();
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

TEST_F(SupervisorTest, SignalToAnyProcessEndsAllInOrder) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) {
    for (const std::string whom : {"launcher", "worker"}) {
      LaunchedRun run("supervisor");
      run.start({STAND_IN, "launch"});
      ASSERT_TRUE(run.wait_until([&] { return run.output().find("loss 1.5") != std::string::npos; }, seconds(10)));
      kill(whom == "worker" ? run.with_variable("CONVOY_RANK=1").value() : run.pid(), signal);
      const auto status = run.wait_exit(seconds(5));
      EXPECT_EQ(status, (ExitStatus{.exit_code = 75, .signal = 0})) << signal_name(signal) << " to the " << whom;
      EXPECT_NE(run.errors().find("convoy: stopped by " + signal_name(signal) + " at step "), std::string::npos)
          << run.errors();
      EXPECT_EQ(run.left_behind(seconds(3)), "");
    }
  }
}

TEST_F(SupervisorTest, SignalReachesWorkersThatTookTheirPlaceLater) {
  start();
  wait_for_steps();
  const pid_t victim = worker(1);
  kill(victim, SIGKILL);
  const pid_t next = replacement(1, victim);
  ASSERT_TRUE(run_.wait_until([&] { return count("[1] hello", run_.output()) == 2; }, seconds(5)));
  std::this_thread::sleep_for(milliseconds(100));
  kill(next, SIGTERM);
  expect_exit(75);
  expect_error("\nconvoy: stopped by SIGTERM at step [0-9]+\n$");
}

TEST_F(SupervisorTest, SignalDuringABackOffStartsNobody) {
  start({"--crash", "--first-wait=60000"});
  ASSERT_TRUE(run_.wait_until([&] { return run_.errors().find("in 60 s") != std::string::npos; }, seconds(10)))
      << run_.errors();
  ASSERT_TRUE(run_.wait_until([&] { return count(" replaced\n", run_.output()) == 2; }, seconds(5))) << run_.output();
  kill(run_.pid(), SIGTERM);
  expect_exit(75);
  EXPECT_EQ(count("[1] hello", run_.output()), 2) << run_.output();
  EXPECT_TRUE(std::regex_search(run_.output(), std::regex("ended 1 [0-9]+ 0 9\n"))) << "taken back\n" << run_.output();
}

TEST_F(SupervisorTest, WhoDiesOnTheWayOutIsNotReplaced) {
  start({"--stubborn"});
  wait_for_steps();
  kill(run_.pid(), SIGTERM);
  wait_for_output("[scheduler] asked to stop\n");
  kill(worker(0), SIGKILL);
  kill(worker(1), SIGKILL);
  expect_exit(75);
  EXPECT_EQ(count("takes its place", run_.errors()), 0) << run_.errors();
}

TEST_F(SupervisorTest, SignalWhileTheSchedulerIsAwayReachesTheNext) {
  start();
  wait_for_steps();
  kill(scheduler(), SIGKILL);
  kill(run_.pid(), SIGTERM);
  expect_exit(75);
  expect_error("convoy: stopped by SIGTERM at step [0-9]+\n$");
}

TEST_F(SupervisorTest, SignalDuringTheSchedulersBackOffIsNotKeptWaiting) {
  start({"--scheduler-first-wait=60000"});
  wait_for_steps();
  kill(scheduler(), SIGKILL);
  wait_for_output("[scheduler] again\n");
  kill(scheduler(), SIGKILL);
  ASSERT_TRUE(run_.wait_until([&] { return run_.errors().find("in 60 s") != std::string::npos; }, seconds(10)))
      << run_.errors();
  kill(run_.pid(), SIGTERM);
  expect_exit(75);
  expect_error("convoy: stopped by SIGTERM at step [0-9]+\n$");
}

TEST_F(SupervisorTest, JoinedWorkersAreLaunchedIntoTheRunAndEndWithIt) {
  const std::string folder = (run_.folder() / "run").string();
  std::filesystem::create_directories(folder);
  start({"--run=" + folder});
  wait_for_steps();
  LaunchedRun joined("supervisor");
  joined.start({STAND_IN, "launch", "--join=" + folder, "--workers=2"});
  ASSERT_TRUE(joined.wait_until([&] { return count("hello from -1\n", joined.output()) == 2; }, seconds(10)))
      << joined.errors();
  wait_for_output("joined as 2\n");
  wait_for_output("joined as 3\n");
  const pid_t victim = joined.with_variable("CONVOY_LOCAL_RANK=1").value();
  kill(victim, SIGKILL);
  wait_for_output(fmt::format("ended -1 {} 0 9 replaced\n", victim));
  ASSERT_TRUE(joined.wait_until([&] { return count("hello from -1\n", joined.output()) == 3; }, seconds(10)));
  EXPECT_NE(joined.errors().find("convoy: joined worker 1 (pid "), std::string::npos) << joined.errors();

  kill(scheduler(), SIGKILL);  // both launchers find the next one
  ASSERT_TRUE(run_.wait_until([&] { return count("[scheduler] agent\n", run_.output()) == 4; }, seconds(10)))
      << run_.output();
  kill(run_.pid(), SIGTERM);
  const auto status = joined.wait_exit(seconds(5));
  EXPECT_EQ(status, (ExitStatus{.exit_code = 75, .signal = 0})) << joined.errors();
  EXPECT_EQ(joined.left_behind(seconds(3)), "");
  expect_exit(75);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(SupervisorTest, JoinThatComesToNothingEnds) {
  const std::string folder = (run_.folder() / "run").string();
  std::filesystem::create_directories(folder);
  start({"--run=" + folder});
  wait_for_steps();
  LaunchedRun joined("supervisor");
  joined.start({STAND_IN, "launch", "--join=" + folder, "--workers=1", "--exit"});
  const auto status = joined.wait_exit(seconds(10));
  EXPECT_EQ(status, (ExitStatus{.exit_code = 1, .signal = 0})) << joined.errors();
  EXPECT_EQ(count("exited with code 3 at step", joined.errors()), 3) << joined.errors();
  EXPECT_NE(joined.errors().find("there will be no other\nconvoy: none of these workers is left in the run\n"),
            std::string::npos)
      << joined.errors();
  expect_stop();
}

TEST_F(SupervisorTest, JoinedWorkersOfARunThatIsGoneEnd) {
  const std::string folder = (run_.folder() / "run").string();
  std::filesystem::create_directories(folder);
  start({"--run=" + folder});
  wait_for_steps();
  LaunchedRun joined("supervisor");
  joined.start({STAND_IN, "launch", "--join=" + folder, "--workers=1"});
  wait_for_output("joined as 2\n");
  kill(run_.pid(), SIGKILL);
  const auto status = joined.wait_exit(seconds(10));
  EXPECT_EQ(status, (ExitStatus{.exit_code = 1, .signal = 0})) << joined.errors();
  EXPECT_NE(joined.errors().find("convoy: lost the scheduler at tcp://"), std::string::npos) << joined.errors();
  EXPECT_EQ(joined.left_behind(seconds(3)), "");
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
  start({"--stubborn", "--hasty"});
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
  start({"--grandchild", "--max-restarts=0"});
  wait_for_steps();
  ASSERT_EQ(run_.processes().size(), 6U);
  kill(worker(0), SIGKILL);
  EXPECT_TRUE(run_.wait_until([&] { return run_.processes().size() == 4; }, seconds(5)));
  kill(run_.pid(), SIGTERM);
  expect_exit(75);
}

TEST_F(SupervisorTest, TokenIsNeverOnACommandLine) {
  start();
  wait_for_steps();
  for (const pid_t pid : run_.processes()) {
    EXPECT_FALSE(std::regex_search(run_.command_line(pid), std::regex("[0-9a-f]{64}")));
  }
}

}  // namespace
}  // namespace convoy::launcher
