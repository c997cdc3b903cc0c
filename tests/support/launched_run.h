// A program under test that starts further processes: how it and all of them live, speak and end.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/signals.h"

namespace convoy::testing_support {

// Every process of the run carries a marker in its environment, by which it is found, whoever its parent is. The run
// works, and keeps its temporary files, in a folder of its own. The destructor kills what is left and removes it.
class LaunchedRun {
 public:
  explicit LaunchedRun(const std::string& name);
  ~LaunchedRun();
  LaunchedRun(const LaunchedRun&) = delete;
  LaunchedRun& operator=(const LaunchedRun&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  void start(const std::vector<std::string>& command);

  pid_t pid() const { return pid_; }
  std::string output() const;  // so far
  std::string errors() const;  // so far

  // Pids of living processes of the run, zombies left out.
  std::vector<pid_t> processes() const;
  // The process whose environment holds `variable` ("CONVOY_RANK=1"), or whose first argument is `command`.
  std::optional<pid_t> with_variable(const std::string& variable) const;
  std::optional<pid_t> with_command(const std::string& command) const;
  static std::string command_line(pid_t pid);  // its words, a space before each

  // These poll; false or nothing when `limit` passes first.
  static bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds limit);
  std::optional<ExitStatus> wait_exit(std::chrono::milliseconds limit);
  // Notes which sockets and segments of shared memory the run's processes hold now; how many it has noted so far.
  std::size_t note_resources();
  // What is left of the run after `limit`: its processes, and what note_resources() has noted in whatever process has
  // it. Empty: nothing.
  std::string left_behind(std::chrono::milliseconds limit) const;

 private:
  std::string remains() const;

  std::string marker_;
  std::filesystem::path folder_;
  std::set<std::string> sockets_;   // abstract names
  std::set<std::string> segments_;  // device and inode
  pid_t pid_ = -1;
  bool reaped_ = false;
};

}  // namespace convoy::testing_support
