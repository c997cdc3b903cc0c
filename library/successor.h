// Under mpirun and srun the scheduler goes with the rank that keeps it, rank 0 to begin with. Where the launcher lets
// the others live on, the first of them that gets the lock journal/keeper keeps the next one: with the run's token, so
// that everybody's credentials stay good, and at the same address where that can be.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cluster/link.h"
#include "cluster/place.h"
#include "launcher/output.h"
#include "launcher/run_lock.h"
#include "library/scheduler_process.h"

namespace convoy::library {

// That this process keeps the run's scheduler, from now on and until it ends. Nothing: another one does, or may: the
// file system knows no locks.
std::optional<launcher::RunLock> try_to_keep(const std::string& run_directory, std::chrono::milliseconds wait);

class Successor {
 public:
  struct Options {
    cluster::Place place;  // with the scheduler's credentials
    // What it takes to start the scheduler; asked once, when there is none.
    std::function<SchedulerProcess::Options()> scheduler;
    launcher::Output& output;
  };

  Successor(std::string run_directory, Options options);
  // If this process keeps the scheduler and the run is going on, it ends: this rank has failed.
  ~Successor();
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  // Where the scheduler is, or will be: for one thread, again and again while it is lost. Throws nothing.
  cluster::Credentials find();
  // Waits until the run has ended if this process keeps the scheduler. Returns the run's exit code then.
  std::optional<int> join();
  const std::string& reason() const { return reason_; }  // once join() has returned; empty when all is well

 private:
  void keep();
  void keep_one(const SchedulerProcess::Options& options);
  void look_elsewhere();
  void end(bool joins);

  const std::string run_directory_;
  const Options options_;
  std::optional<launcher::RunLock> lock_;
  std::thread thread_;  // that the child is bound to
  int failures_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  cluster::Credentials credentials_;
  bool busy_ = false;  // the thread keeps a scheduler, or tries to
  bool keeps_ = false;
  bool ending_ = false;
  bool joins_ = false;
  int exit_code_ = 1;  // this and the reason: once the thread has ended
  std::string reason_;
};

}  // namespace convoy::library
