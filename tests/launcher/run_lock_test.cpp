#include "launcher/run_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/uuid.h"

namespace convoy::launcher {
namespace {

using std::chrono::milliseconds;

class RunLockTest : public testing::Test {
 protected:
  ~RunLockTest() override { std::filesystem::remove_all(run_); }
  std::string refusal() {
    try {
      const RunLock lock(run_, milliseconds(50));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      return error.what();
    }
    return "taken";
  }

  const std::string run_ = testing::TempDir() + "lock-" + random_hex(8);
};

TEST_F(RunLockTest, OneHoldsItAndIsNamed) {
  {
    const RunLock lock(run_, milliseconds(0));
    const std::string expected = "run directory " + run_ + " is in use by pid " + std::to_string(getpid()) + " on ";
    EXPECT_EQ(refusal().rfind(expected, 0), 0U) << refusal();
  }
  EXPECT_EQ(refusal(), "taken");
}

TEST_F(RunLockTest, WhoKeepsTheSchedulerHoldsAnotherOne) {
  const RunLock keeper(run_, milliseconds(0), RunLock::kKeeper);
  EXPECT_EQ(refusal(), "taken");
  EXPECT_THROW(RunLock(run_, milliseconds(0), RunLock::kKeeper), Error);
}

TEST_F(RunLockTest, WhoInheritsItHoldsItUntilItEnds) {
  pid_t child = -1;
  {
    const RunLock lock(run_, milliseconds(0));
    child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
  }
  EXPECT_NE(refusal(), "taken");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(refusal(), "taken");
}

TEST_F(RunLockTest, WhoOnlyLooksHoldsUpNobody) {
  EXPECT_FALSE(run_in_use(run_));
  {
    const RunLock lock(run_, milliseconds(0));
    EXPECT_TRUE(run_in_use(run_));
  }
  EXPECT_FALSE(run_in_use(run_));
  EXPECT_EQ(refusal(), "taken");
}

}  // namespace
}  // namespace convoy::launcher
