#include "core/base/available_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace convoy {
namespace {

namespace fs = std::filesystem;

class AvailableMemoryTest : public testing::Test {
 protected:
  AvailableMemoryTest() : root_(fs::path(testing::TempDir()) / ("available_memory_" + std::to_string(getpid()))) {
    fs::remove_all(root_);
  }
  ~AvailableMemoryTest() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    const fs::path whole = root_ / path;
    fs::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  std::optional<std::size_t> available() const { return available_memory_under(root_.string()); }

 private:
  fs::path root_;
};

TEST_F(AvailableMemoryTest, IsWhatTheKernelCallsAvailable) {
  EXPECT_EQ(available(), std::nullopt) << "nothing is known";
  write("proc/meminfo", "MemTotal:       2000 kB\nMemFree:  10 kB\nMemAvailable:   1000 kB\nHugePages_Total:   0\n");
  EXPECT_EQ(available(), 1000U << 10);
}

TEST_F(AvailableMemoryTest, IsLessWhereAControlGroupOrOneAroundItAllowsLess) {
  write("proc/meminfo", "MemAvailable:   1000 kB\n");
  write("proc/self/cgroup", "1:cpu:/elsewhere\n0::/job/step\n");
  write("sys/fs/cgroup/job/step/memory.max", "max\n");
  write("sys/fs/cgroup/job/step/memory.current", "5000\n");
  EXPECT_EQ(available(), 1000U << 10) << "no group has a limit";
  write("sys/fs/cgroup/job/memory.max", "100000\n");
  write("sys/fs/cgroup/job/memory.current", "60000\n");
  EXPECT_EQ(available(), 40000U);
  write("sys/fs/cgroup/job/memory.stat", "anon 50000\ninactive_file 10000\nactive_file 7\n");
  EXPECT_EQ(available(), 50000U) << "pages of files are taken back first";
  write("sys/fs/cgroup/memory.max", "3000\n");  // as the root of a container has it
  write("sys/fs/cgroup/memory.current", "4000\n");
  EXPECT_EQ(available(), 0U) << "already beyond";
}

TEST(AvailableMemoryOfThisMachineTest, IsKnown) {
  ASSERT_TRUE(available_memory().has_value());
  EXPECT_GT(*available_memory(), 1U << 20);
}

}  // namespace
}  // namespace convoy
