// One run at a time in a run directory: a lock on its file journal/lock, held by the run's scheduler, gone with it
// however it ends. Where no launcher keeps the scheduler, a lock on journal/keeper is held by the process that does.
#pragma once

#include <chrono>
#include <string>

#include "core/base/unique_fd.h"

namespace convoy::launcher {

class RunLock {
 public:
  // The processes of a run that was killed a moment ago may still be ending: it is waited for them. Throws
  // Error(kUsage) naming process and host that hold the lock, Error(kUnavailable) naming the file. A file system that
  // knows no locks locks nobody out.
  explicit RunLock(const std::string& run_directory, std::chrono::milliseconds wait = std::chrono::seconds(3),
                   const char* file = kScheduler);
  static constexpr char kScheduler[] = "lock";
  static constexpr char kKeeper[] = "keeper";

  // Whether it keeps others out.
  bool is_real() const { return is_real_; }

 private:
  bool is_real_ = true;
  UniqueFd file_;  // whoever inherits it holds the lock too
};

// Whether a process holds the lock, as far as the file system knows locks. For those who only look: it holds up nobody.
bool run_in_use(const std::string& run_directory);

}  // namespace convoy::launcher
