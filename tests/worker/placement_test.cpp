#include "worker/placement.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <numeric>

namespace convoy::worker {
namespace {

using Cores = std::vector<int>;

TEST(PlacementTest, CoresWithTheFewestBoundToThemComeFirst) {
  EXPECT_EQ(least_bound_first({0, 1, 2, 3}, {}), (Cores{0, 1, 2, 3}));
  EXPECT_EQ(least_bound_first({0, 1, 2, 3}, Cores{1, 1, 1}), (Cores{3, 0, 1, 2}));
  EXPECT_EQ(least_bound_first({0, 1, 2, 3}, Cores{2, 1, 2, 1}), (Cores{1, 3, 0, 2})) << "shared evenly";
  EXPECT_EQ(least_bound_first({4, 6}, Cores{9, 9}), (Cores{4, 6})) << "cores of others do not matter";
}

// A process that is bound to one core until this ends.
class Bound {
 public:
  explicit Bound(int core) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(core, &set);
      sched_setaffinity(0, sizeof(set), &set);
      [[maybe_unused]] const ssize_t told = write(ready[1], "x", 1);
      for (;;) pause();
    }
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
  }
  ~Bound() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Bound(const Bound&) = delete;
  Bound& operator=(const Bound&) = delete;

 private:
  pid_t pid_ = -1;
};

TEST(PlacementTest, ProcessesThatAreBoundAreCountedButForSiblings) {
  Cores cores(static_cast<std::size_t>(sysconf(_SC_NPROCESSORS_CONF)));
  std::iota(cores.begin(), cores.end(), 0);
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
  std::erase_if(cores, [&](int core) { return !CPU_ISSET(core, &allowed); });
  if (cores.size() < 2) GTEST_SKIP() << "one core: nobody can be bound to less";
  const int core = cores.back();
  const auto count = [&](int parent) {
    const std::vector<int> bound = processes_bound_to(cores, parent);
    return static_cast<std::size_t>(core) < bound.size() ? bound[static_cast<std::size_t>(core)] : 0;
  };
  const Bound one(core);
  const Bound two(core);
  // Others may come and go on this machine.
  bool counted = false;
  for (int attempt = 0; attempt < 20 && !counted; ++attempt) counted = count(-1) == count(getpid()) + 2;
  EXPECT_TRUE(counted);
}

}  // namespace
}  // namespace convoy::worker
