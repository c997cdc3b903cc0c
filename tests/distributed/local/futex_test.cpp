#include "distributed/local/futex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace convoy::distributed {
namespace {

class FutexTest : public ::testing::TestWithParam<SleepMode> {};
INSTANTIATE_TEST_SUITE_P(Modes, FutexTest, ::testing::Values(best_sleep_mode(), SleepMode::kTimed));

// Sleeps until one of the words changes; what the caller of sleep_while does.
void wait_for_change(SleepMode mode, const Word& shared, const Word& own) {
  while (shared.load() == 0 && own.load() == 0) sleep_while(mode, shared, 0, own, 0);
}

TEST_P(FutexTest, EitherWordEndsTheSleep) {
  for (const bool change_shared : {false, true}) {
    Word shared{0};
    Word own{0};
    std::thread changer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      Word& word = change_shared ? shared : own;
      word.store(1);
      change_shared ? wake_shared(word) : wake_own(word);
    });
    wait_for_change(GetParam(), shared, own);
    changer.join();
  }
}

TEST_P(FutexTest, AWordThatChangedBeforeDoesNotSleep) {
  Word shared{1};
  Word own{0};
  sleep_while(GetParam(), shared, 0, own, 0);
  shared.store(0);
  own.store(1);
  sleep_while(GetParam(), shared, 0, own, 0);
}

}  // namespace
}  // namespace convoy::distributed
