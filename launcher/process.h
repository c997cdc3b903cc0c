// A child process that cannot outlive its launcher.
//
// The kernel kills the child when the *thread* that spawned it ends, so spawn from a thread that lives as long as the
// launcher: the main one. That does not reach grandchildren; they inherit the lifeline (launcher/lifeline.h).
//
// Each child leads a process group of its own. Ctrl-C in a terminal signals the foreground group only, so it reaches
// the launcher and nobody else, and the launcher decides in which order a run ends; and a child's own children die
// with its group. It stays in the launcher's session: job control and a terminal's hang-up work as everywhere.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "core/base/signals.h"
#include "launcher/pipe.h"

namespace convoy::launcher {

struct SpawnOptions {
  std::string program;                     // path of the executable
  std::vector<std::string> arguments{};    // without the program's own name
  std::vector<std::string> environment{};  // "NAME=value"; all there is
  std::vector<int> inherited{};            // descriptors the child keeps, under the same numbers; it gets no others
};

class Process {
 public:
  // Standard input is empty; standard output and error are pipes read here. Throws Error(kUnavailable) naming the
  // program and errno when it cannot be started.
  explicit Process(const SpawnOptions& options);
  // Kills the group and reaps the child if that has not happened yet.
  ~Process();
  Process(Process&&) = default;
  Process& operator=(Process&&) = delete;

  pid_t pid() const { return pid_; }
  // Polls readable once the child has ended.
  int exit_descriptor() const { return pidfd_.get(); }
  const UniqueFd& output() const { return output_; }  // never blocks
  const UniqueFd& errors() const { return errors_; }  // never blocks

  // Reaps the child if it has ended, after killing what is left of its group.
  std::optional<ExitStatus> try_reap();
  bool reaped() const { return !pidfd_; }

  void terminate() noexcept;   // SIGTERM to the child
  void kill_group() noexcept;  // SIGKILL to the child and its children

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;  // closed once reaped
  UniqueFd output_;
  UniqueFd errors_;
};

}  // namespace convoy::launcher
