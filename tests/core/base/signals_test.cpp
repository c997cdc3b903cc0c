#include "core/base/signals.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <future>

namespace convoy {
namespace {

TEST(SignalsTest, SignalsHaveTheirNames) {
  EXPECT_EQ(signal_name(SIGKILL), "SIGKILL");
  EXPECT_EQ(signal_name(SIGINT), "SIGINT");
  EXPECT_EQ(signal_name(SIGRTMIN + 2), "SIGRTMIN+2");
  EXPECT_EQ(signal_name(999), "signal 999");
}

TEST(SignalsTest, ExitsAreDescribedByCodeOrSignal) {
  EXPECT_EQ(describe_exit({.exit_code = 3, .signal = 0}), "exited with code 3");
  EXPECT_EQ(describe_exit({.exit_code = 0, .signal = SIGKILL}), "was killed by signal 9 (SIGKILL)");
}

TEST(SignalsTest, BlockedSignalsAreReadInsteadOfDelivered) {
  SignalReceiver receiver({SIGUSR1, SIGUSR2});
  EXPECT_EQ(receiver.take(), std::nullopt);
  ASSERT_EQ(kill(getpid(), SIGUSR1), 0);
  pollfd watched{.fd = receiver.descriptor(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(poll(&watched, 1, 5000), 1);
  EXPECT_EQ(receiver.take(), SIGUSR1);
  EXPECT_EQ(receiver.take(), std::nullopt);
}

TEST(SignalsTest, PendingSignalsAreDiscardedAndTheMaskRestored) {
  {
    const SignalReceiver receiver({SIGUSR1});
    ASSERT_EQ(kill(getpid(), SIGUSR1), 0);
  }  // a signal that was left pending would end this process here
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGUSR1), 0);
}

TEST(SignalsTest, IgnoredHangUpStaysIgnored) {
  signal(SIGHUP, SIG_IGN);
  {
    SignalReceiver receiver({SIGHUP, SIGUSR1});
    ASSERT_EQ(kill(getpid(), SIGHUP), 0);
    EXPECT_EQ(receiver.take(), std::nullopt);
  }
  signal(SIGHUP, SIG_DFL);
}

TEST(SignalsTest, WatcherHandsSignalsOnAndEndsWhenDestroyed) {
  SignalReceiver receiver({SIGUSR1});
  std::promise<int> seen;
  std::future<int> signal = seen.get_future();
  const SignalWatcher watcher(receiver, [&](int number) { seen.set_value(number); });
  ASSERT_EQ(kill(getpid(), SIGUSR1), 0);
  ASSERT_EQ(signal.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_EQ(signal.get(), SIGUSR1);
}

}  // namespace
}  // namespace convoy
