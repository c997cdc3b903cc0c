// The scheduler of a run of one: a thread of the worker's process, with the progress line that a launcher would draw.
#pragma once

#include <atomic>
#include <exception>
#include <string>
#include <thread>

#include "cluster/link.h"
#include "core/base/log.h"
#include "launcher/command_line.h"
#include "launcher/output.h"
#include "launcher/progress.h"
#include "launcher/run_lock.h"
#include "scheduler/scheduler.h"

namespace convoy::library {

class InnerScheduler {
 public:
  // Starts the thread. `output` outlives it.
  InnerScheduler(const launcher::SchedulerLine& line, launcher::Output& output);
  // Tells a run that is still going on that its worker failed, and waits for its end.
  ~InnerScheduler();
  InnerScheduler(const InnerScheduler&) = delete;
  InnerScheduler& operator=(const InnerScheduler&) = delete;

  const cluster::Credentials& credentials() const { return scheduler_.credentials(); }
  // Waits until the run has ended; its exit code. Throws what ended the scheduler.
  int join();
  const std::string& reason() const { return scheduler_.reason(); }  // once join() has returned

 private:
  scheduler::SchedulerOptions options(const launcher::SchedulerLine& line, launcher::Output& output);
  void serve();

  launcher::RunLock lock_;
  Logger logger_;
  launcher::ProgressDisplay progress_;
  scheduler::Scheduler scheduler_;
  std::thread thread_;
  std::atomic<bool> joining_{false};  // the worker is done
  int exit_code_ = 1;                 // this and failure_: written by the thread, read once it has ended
  std::exception_ptr failure_;
};

}  // namespace convoy::library
