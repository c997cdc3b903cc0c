// A run's scheduler as a child process, and the next one when it dies: at the same address and with the same key, so
// that everybody finds it with the credentials they have.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/link.h"
#include "cluster/reserved_port.h"
#include "core/base/unique_fd.h"
#include "launcher/forwarded_process.h"
#include "launcher/restarts.h"

namespace convoy::launcher {

// What distinguishes one start of the scheduler from another.
struct SchedulerStart {
  std::string listen;      // where it is to listen
  bool restarted = false;  // the one before died
};

struct SchedulerChildOptions {
  std::string listen = "tcp://127.0.0.1:0";
  std::string token{};  // of the scheduler in whose place the first one comes; empty: the run has had none
  int lifeline = -1;    // that it inherits (launcher/lifeline.h)
  // Program, arguments and environment of a start, and what else it inherits; `kept` is closed once it runs.
  struct Command {
    SpawnOptions spawn;
    UniqueFd kept{};
  };
  std::function<Command(const SchedulerStart&)> command;
  ForwardedProcess::TakeLine take;
  std::chrono::milliseconds start_limit{20'000};  // from its start to its listening
  RestartRules restarts{};
};

class SchedulerChild {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Makes the run's token unless it has one, and keeps its port. Throws Error(kUnavailable).
  explicit SchedulerChild(SchedulerChildOptions options);

  // From a thread that lives as long as the launcher. Throws Error(kUnavailable).
  void start();
  // As this host reaches it.
  const cluster::Credentials& credentials() const { return credentials_; }

  bool running() const { return child_ && child_->running(); }
  pid_t pid() const { return pid_; }  // of the last one
  Process& process() { return child_->process(); }
  void watch(std::vector<pollfd>& watched, bool only_end) const;
  void forward();
  // True once for each start: it listens now.
  bool became_ready();
  bool ready() const { return ready_; }
  // Whether it has been running for `start_limit` without listening.
  bool overdue(Time now) const;
  // Reaps it if it has ended.
  std::optional<ExitStatus> try_reap();

  // It died and is wanted: it will be started again after the wait that is returned. Nothing: no restarts are left.
  std::optional<std::chrono::milliseconds> replace(Time now);
  // Starts it if it is time. Returns why that failed, and then what replace() would say is done.
  std::optional<std::string> start_if_due(Time now);
  // No restarts are left: it is started once more all the same.
  void replace_once_more(Time now) { start_at_ = now; }
  // If it is to be started again, then now.
  void hurry(Time now) {
    if (start_at_) start_at_ = now;
  }
  // It is to be started again.
  bool expected() const { return start_at_.has_value(); }
  void give_up() { start_at_.reset(); }
  // When overdue() or start_if_due() will have something to say.
  std::optional<Time> due() const;

 private:
  const SchedulerChildOptions options_;
  const cluster::ReservedPort port_;
  cluster::Credentials credentials_;
  Restarts restarts_;
  std::unique_ptr<ForwardedProcess> child_;
  pid_t pid_ = -1;
  UniqueFd address_pipe_;  // until it listens
  int lines_ = 0;          // that came through it
  bool ready_ = false;
  bool started_before_ = false;
  Time started_;
  std::optional<Time> start_at_;
};

}  // namespace convoy::launcher
