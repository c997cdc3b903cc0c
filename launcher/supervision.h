// The one who does what launcher/supervisor.h says: it owns a node's processes, and has one poll loop over them. Its
// sources are the loop (supervisor.cpp), the scheduler and the link to it (supervisor_scheduler.cpp), and how a run
// ends (supervisor_end.cpp).
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/link.h"
#include "cluster/messages.h"
#include "core/base/signals.h"
#include "core/base/uuid.h"
#include "launcher/lifeline.h"
#include "launcher/progress.h"
#include "launcher/scheduler_child.h"
#include "launcher/scheduler_file.h"
#include "launcher/supervisor.h"
#include "launcher/worker_processes.h"

namespace convoy::launcher {

class Supervisor {
 public:
  Supervisor(const LaunchOptions& options, Output& output);

  int run();

 private:
  using Clock = std::chrono::steady_clock;
  using milliseconds = std::chrono::milliseconds;

  struct Deadline {
    std::optional<Clock::time_point> at;

    void set(milliseconds from_now) {
      const auto then = Clock::now() + from_now;
      at = at ? std::min(*at, then) : then;
    }
    bool passed() {
      if (!at || Clock::now() < *at) return false;
      at.reset();
      return true;
    }
  };

  // supervisor.cpp: the loop's steps; none of them waits, but for wait()
  bool processes_running() const { return (scheduler_ && scheduler_->running()) || workers_.running(); }
  void wait();
  void take_signals();
  void ask_to_stop(int signal);
  void heed_signal_to_child(int signal);
  void forward_lines();
  void keep_deadlines();
  void wish(const std::string& reason);
  void say(const std::string& what) { output_.line(Stream::kErrors, "convoy: " + what); }
  void show_line(const std::string& label, Stream stream, std::string_view line);

  // supervisor_scheduler.cpp
  SchedulerChildOptions scheduler_options();
  const cluster::Credentials& credentials() const { return scheduler_ ? scheduler_->credentials() : *options_.join; }
  std::string scheduler_title() const;
  void meet_scheduler();
  void begin();
  Whereabouts whereabouts() const;
  void connect();
  bool may_connect() const { return !link_ && !ending_ && (!scheduler_ || scheduler_->ready()); }
  void tell_scheduler();
  void receive();
  void receive_last();
  void lose_link(const std::string& why);
  void handle(const cluster::Body& body);
  void reap_scheduler();
  void replace_scheduler(const std::string& how);
  void end_without_restarts(const std::string& how);
  void keep_scheduler_started(Clock::time_point now);
  void end_silent_scheduler(Clock::time_point now);

  // supervisor_end.cpp
  void await_verdict();
  void take_verdict(const cluster::Stop& stop);
  void take_success();
  void conclude(int code, const std::string& reason);
  void complain(const std::string& what);
  void end_workers();
  void end_everyone();
  void kill_everyone();
  std::string still_running() const;

  const LaunchOptions& options_;
  Output& output_;
  SignalReceiver signals_;
  Lifeline lifeline_;
  const std::vector<std::string> environment_;
  const Uuid self_ = Uuid::random();
  ProgressDisplay progress_;
  std::optional<SchedulerChild> scheduler_;  // none where workers join a run
  std::optional<SchedulerFile> file_;
  WorkerProcesses workers_;
  std::unique_ptr<cluster::Link> link_;
  std::string lost_;  // what became of the last link

  std::int64_t last_step_ = 0;
  std::set<std::string, std::less<>> said_;
  int stop_signal_ = 0;  // the last signal of the user
  Clock::time_point stop_signal_at_;
  bool hurried_ = false;         // a signal came that is no mere announcement
  Clock::time_point heard_;      // of the scheduler
  Clock::time_point last_look_;  // whether it is silent
  std::string wish_;             // why the run ends after the step under way, if it does
  bool ending_ = false;          // verdict_ stands
  int verdict_ = 0;              // the run's exit code
  bool terminated_ = false;      // after a failure: who stays is killed without another word
  bool judged_ = false;          // the verdict is the scheduler's
  bool last_scheduler_ = false;  // its restarts are used up: the one that was started once more is to end the run
  std::string alone_{};          // why there is no scheduler any more, and the workers save the state by themselves
  bool succeeded_ = false;       // the run is complete, whoever stays: nobody lets a replacement in any more
  Deadline answer_by_;           // to a user's signal
  Deadline verdict_by_;
  Deadline reconnect_at_;
  Deadline back_by_;  // the scheduler of a run that was joined
  Deadline workers_gone_by_;
  Deadline scheduler_gone_by_;
};

}  // namespace convoy::launcher
