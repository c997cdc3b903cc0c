// The scheduler that a rank of an mpirun or srun keeps: a child process, with the progress line that a launcher would
// draw, and another one in its place when it dies.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "cluster/link.h"
#include "launcher/command_line.h"
#include "launcher/lifeline.h"
#include "launcher/output.h"
#include "launcher/progress.h"
#include "launcher/scheduler_child.h"

namespace convoy::library {

class SchedulerProcess {
 public:
  // Which program it is: this very one, in another role.
  enum class Program {
    kConvoy,  // `convoy scheduler …`
    kOwn,     // built on the library: started with the words that this process was, it is told through a pipe
  };

  struct Options {
    launcher::SchedulerLine line;
    Program program = Program::kConvoy;
    std::vector<std::string> environment;  // "NAME=value" entries that it inherits
    std::int32_t rank = 0;                 // of this process
    std::string token{};  // of a scheduler that went with the process that kept it; empty: this is the run's first
  };

  // Starts it and waits until it listens. From a thread that lives as long as this object: when that ends, so does the
  // child. Throws Error(kUnavailable).
  SchedulerProcess(const Options& options, launcher::Output& output);
  // Lets a run that is still going on know that this rank failed, and waits a while for its end.
  ~SchedulerProcess();
  SchedulerProcess(const SchedulerProcess&) = delete;
  SchedulerProcess& operator=(const SchedulerProcess&) = delete;

  // With the address as this host reaches it.
  const cluster::Credentials& credentials() const { return child_.credentials(); }
  // Waits until the run has ended; its exit code.
  int join();
  const std::string& reason() const { return reason_; }  // once join() has returned; empty when all is well

 private:
  using Clock = std::chrono::steady_clock;

  void wait_until_ready();
  void connect();
  void serve();
  void keep_started();
  bool has_spoken(const ExitStatus& status) const;
  void replace(const ExitStatus& status);
  void receive(std::chrono::milliseconds timeout);
  void conclude(const ExitStatus& status);
  bool ended_within(std::chrono::milliseconds limit);

  const std::int32_t rank_;
  launcher::Output& output_;
  launcher::Lifeline lifeline_;
  launcher::ProgressDisplay progress_;
  launcher::SchedulerChild child_;
  const Uuid self_ = Uuid::random();
  std::unique_ptr<cluster::Link> link_;  // as an agent
  std::thread thread_;
  std::atomic<bool> ended_{false};    // the child, and there is no other
  std::atomic<bool> joining_{false};  // the worker is done
  std::atomic<bool> failed_{false};   // the worker: there is to be no other child
  std::atomic<bool> stop_{false};     // the scheduler is asked to
  std::atomic<bool> kill_{false};     // the child, it is not waited for any longer

  bool asked_ = false;  // these are the thread's until it has ended
  bool judged_ = false;
  int exit_code_ = 1;
  std::string reason_;
  std::string wish_;  // of whoever asked a scheduler that is gone to stop
  std::int64_t last_step_ = 0;
  Clock::time_point lost_at_;
};

}  // namespace convoy::library
