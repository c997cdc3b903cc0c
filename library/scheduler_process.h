// The scheduler that rank 0 of an mpirun or srun brings along: a child process, with the progress line that a launcher
// would draw.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "cluster/link.h"
#include "launcher/command_line.h"
#include "launcher/forwarded_process.h"
#include "launcher/lifeline.h"
#include "launcher/output.h"
#include "launcher/progress.h"

namespace convoy::library {

class SchedulerProcess {
 public:
  // Which program it is: this very one, in another role.
  enum class Program {
    kConvoy,  // `convoy scheduler …`
    kOwn,     // built on the library: started with the words that this process was, it is told through a pipe
  };

  // Starts it and waits for its address. From the main thread: when that ends, so does the child. `environment`:
  // "NAME=value" entries that it inherits. Throws Error(kUnavailable).
  SchedulerProcess(const launcher::SchedulerLine& line, Program program, const std::vector<std::string>& environment,
                   launcher::Output& output);
  // Lets a run that is still going on know that its rank 0 failed, and waits a while for its end.
  ~SchedulerProcess();
  SchedulerProcess(const SchedulerProcess&) = delete;
  SchedulerProcess& operator=(const SchedulerProcess&) = delete;

  // With the address as this host reaches it.
  const cluster::Credentials& credentials() const { return credentials_; }
  // Waits until the run has ended; its exit code.
  int join();
  const std::string& reason() const { return reason_; }  // once join() has returned; empty when all is well

 private:
  using Clock = std::chrono::steady_clock;

  void wait_for_address(launcher::Pipe address);
  void serve();
  void receive(std::chrono::milliseconds timeout);
  void conclude(const ExitStatus& status);
  bool ended_within(std::chrono::milliseconds limit);

  launcher::Output& output_;
  launcher::Lifeline lifeline_;
  launcher::ProgressDisplay progress_;
  std::unique_ptr<launcher::ForwardedProcess> child_;
  cluster::Credentials credentials_;
  std::unique_ptr<cluster::Link> link_;  // as an agent
  std::thread thread_;
  std::atomic<bool> ended_{false};    // the child
  std::atomic<bool> joining_{false};  // the worker is done
  std::atomic<bool> kill_{false};     // the child, it is not waited for any longer
  int exit_code_ = 1;                 // these are the thread's until it has ended
  std::string reason_;
  std::int64_t last_step_ = 0;
};

}  // namespace convoy::library
