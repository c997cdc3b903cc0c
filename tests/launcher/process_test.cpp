#include "launcher/process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include "core/base/error.h"
#include "launcher/lifeline.h"
#include "tests/support/launched_run.h"

namespace convoy::launcher {
namespace {

using testing_support::LaunchedRun;

std::string read_to_end(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    pollfd readable{.fd = fd.get(), .events = POLLIN, .revents = 0};
    if (poll(&readable, 1, 5000) != 1) return text + "<timed out>";
    const ssize_t got = read(fd.get(), buffer, sizeof buffer);
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

ExitStatus wait_for(Process& process) {
  pollfd ended{.fd = process.exit_descriptor(), .events = POLLIN, .revents = 0};
  if (poll(&ended, 1, 5000) != 1) return ExitStatus{.exit_code = -1, .signal = 0};  // it lives on
  return process.try_reap().value();
}

TEST(ProcessTest, ChildGetsExactlyItsArgumentsEnvironmentAndDescriptors) {
  const Pipe not_inherited = make_pipe();
  const int leaked = dup(STDOUT_FILENO);  // without close-on-exec, as a careless library would
  const Lifeline lifeline;
  Process process({.program = STAND_IN,
                   .arguments = {"print", "one argument"},
                   .environment = {"A=1", "B=two words"},
                   .inherited = {lifeline.inherited()}});
  const std::string inherited = "fd " + std::to_string(lifeline.inherited()) + "\n";
  EXPECT_EQ(read_to_end(process.output()), "one argument\nA=1\nB=two words\nfd 0\nfd 1\nfd 2\n" + inherited);
  EXPECT_EQ(read_to_end(process.errors()), "an error line\n");
  EXPECT_EQ(wait_for(process), (ExitStatus{.exit_code = 7, .signal = 0}));
  EXPECT_TRUE(process.reaped());
  close(leaked);
}

TEST(ProcessTest, RunningChildIsNotReaped) {
  Process process({.program = STAND_IN, .arguments = {"stay"}});
  EXPECT_EQ(process.try_reap(), std::nullopt);
  process.kill_group();
  EXPECT_EQ(wait_for(process), (ExitStatus{.exit_code = 0, .signal = SIGKILL}));
}

TEST(ProcessTest, ChildStartsWithNoSignalBlockedOrIgnored) {
  SignalReceiver blocks({SIGTERM});
  Process process({.program = STAND_IN, .arguments = {"stay"}});
  process.terminate();
  EXPECT_EQ(wait_for(process), (ExitStatus{.exit_code = 0, .signal = SIGTERM}));
}

TEST(ProcessTest, ChildLeadsItsOwnGroupInOurSession) {
  Process process({.program = STAND_IN, .arguments = {"stay"}});
  EXPECT_EQ(getpgid(process.pid()), process.pid());
  EXPECT_EQ(getsid(process.pid()), getsid(0));
}

TEST(ProcessTest, ChildDiesWithTheThreadThatSpawnedIt) {
  std::unique_ptr<Process> process;
  std::thread([&] {
    process = std::make_unique<Process>(SpawnOptions{.program = STAND_IN, .arguments = {"stay"}});
  }).join();
  EXPECT_EQ(wait_for(*process), (ExitStatus{.exit_code = 0, .signal = SIGKILL}));
}

TEST(ProcessTest, ChildrenOfAChildDieWithIt) {
  Process process({.program = STAND_IN, .arguments = {"leave-child"}});
  EXPECT_EQ(wait_for(process), (ExitStatus{.exit_code = 0, .signal = 0}));
  char text[32] = {};
  ASSERT_GT(read(process.output().get(), text, sizeof text - 1), 0);
  const pid_t grandchild = std::stoi(text);
  EXPECT_TRUE(
      LaunchedRun::wait_until([&] { return LaunchedRun::command_line(grandchild).empty(); }, std::chrono::seconds(5)));
}

TEST(ProcessTest, DestructorLeavesNoChild) {
  pid_t pid = -1;
  {
    const Process process({.program = STAND_IN, .arguments = {"stay"}});
    pid = process.pid();
    ASSERT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST(ProcessTest, ProgramThatCannotBeStartedIsNamed) {
  try {
    const Process process({.program = "/nowhere/convoy"});
    FAIL() << "started";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_STREQ(error.what(), "cannot start /nowhere/convoy: exec: No such file or directory");
  }
}

TEST(LifelineTest, ProcessDiesWhenTheLauncherEndIsGone) {
  auto lifeline = std::make_unique<Lifeline>();
  const int inherited = dup(lifeline->inherited());
  Pipe ready = make_pipe();
  const pid_t pid = fork();
  if (pid == 0) {
    lifeline.reset();
    watch_lifeline(inherited);
    [[maybe_unused]] const ssize_t ignored = write(ready.write_end.get(), "x", 1);
    for (;;) pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready.read_end.get(), &byte, 1), 1);
  EXPECT_EQ(waitpid(pid, nullptr, WNOHANG), 0);
  lifeline.reset();
  int status = 0;
  if (!LaunchedRun::wait_until([&] { return waitpid(pid, &status, WNOHANG) == pid; }, std::chrono::seconds(5))) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    FAIL() << "it lives on";
  }
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  close(inherited);
}

TEST(LifelineTest, DescriptorThatIsNotOpenIsRefused) { EXPECT_THROW(watch_lifeline(9999), Error); }

}  // namespace
}  // namespace convoy::launcher
