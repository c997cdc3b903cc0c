#include "core/base/background.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <thread>

namespace convoy {
namespace {

TEST(BackgroundTest, AThreadStepsBackAndLeavesTheCoresItsCreatorWasBoundTo) {
  const Cores all = allowed_cores();
  ASSERT_FALSE(all.empty());
  std::jthread([&] {
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(all.front(), &first);
    ASSERT_EQ(sched_setaffinity(0, sizeof first, &first), 0);
    const int before = getpriority(PRIO_PROCESS, 0);
    std::jthread([&] {
      EXPECT_EQ(allowed_cores(), Cores{all.front()});
      work_in_background(all);
      EXPECT_EQ(allowed_cores(), all);
      EXPECT_EQ(getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())), 19);
    }).join();
    EXPECT_EQ(allowed_cores(), Cores{all.front()});
    EXPECT_EQ(getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())), before);
  }).join();
  EXPECT_EQ(allowed_cores(), all);
}

}  // namespace
}  // namespace convoy
