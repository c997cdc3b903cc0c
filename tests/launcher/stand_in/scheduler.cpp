// A scheduler with the simplest rules: the run goes on while a worker is there or will come, and ends when all have
// left. SIGUSR2: it excludes worker 1; SIGUSR1: it asks once more for the end of the last one that ended.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <vector>

#include "cluster/link.h"
#include "cluster/messages.h"
#include "cluster/place.h"
#include "core/base/exit_code.h"
#include "core/base/signals.h"
#include "launcher/lifeline.h"
#include "tests/launcher/stand_in/stand_in.h"

namespace convoy::stand_in {
namespace {

using namespace cluster;
using std::chrono::milliseconds;

class Scheduler {
 public:
  Scheduler(const Arguments& arguments, int workers)
      : arguments_(arguments),
        workers_(workers),
        signals_({SIGUSR1, SIGUSR2}),
        hub_(arguments.value("listen").value_or("tcp://127.0.0.1:0"), variable(kTokenVariable).value(),
             Uuid::random()) {}

  const Credentials& credentials() const { return hub_.credentials(); }

  int run() {
    say(arguments_.has("--restarted") ? "again" : "first");
    while (!stop_ || hub_answers_) {
      take_signals();
      hub_answers_ = false;
      if (const auto message = hub_.receive(milliseconds(50))) {
        if (arguments_.has("--deaf") && !std::holds_alternative<RegisterAgent>(message->body)) continue;
        hub_answers_ = true;
        std::visit([&](const auto& body) { take(message->sender, body); }, message->body);
      }
      if (stop_ && living() > 0) hub_answers_ = true;  // they are told, and are waited for
    }
    hub_.close(milliseconds(500));
    return stop_->exit_code;
  }

 private:
  struct Member {
    Uuid uuid;
    std::int32_t pid;
  };

  static void say(const std::string& what) {
    printf("%s\n", what.c_str());
    fflush(stdout);
  }

  void take_signals() {
    while (const auto signal = signals_.take()) {
      const auto pid = *signal == SIGUSR1 ? last_ended_ : members_.contains(1) ? members_[1].pid : 0;
      for (const Uuid& agent : agents_)
        hub_.send(agent, {}, Exclude{.worker = {}, .rank = 1, .pid = pid, .reason = "it hangs"});
    }
  }

  int living() const { return static_cast<int>(members_.size()); }

  // Of a complete run nothing is said: its exit code tells.
  void stop(const Stop& stop) {
    if (stop_) return;
    stop_ = stop;
    if (stop.exit_code == 0) return;
    for (const auto& [rank, member] : members_) hub_.send(member.uuid, {}, stop);
    for (const Uuid& agent : agents_) hub_.send(agent, {}, stop);
  }

  void take(const Uuid& sender, const Register& joined) {
    std::int32_t rank = joined.rank;
    if (rank < 0) {
      for (rank = workers_; members_.contains(rank);) ++rank;
      say(fmt::format("joined as {}", rank));
    }
    members_[rank] = {.uuid = sender, .pid = joined.pid};
    coming_.erase(rank);
    if (living() == workers_) started_ = true;
    if (started_ || arguments_.has("--restarted")) {
      for (const auto& [other, member] : members_) hub_.send(member.uuid, {}, Epoch{});
    }
    if (!finishing_.empty()) hub_.send(sender, {}, FinishStep{.reason = finishing_});
    if (stop_) hub_.send(sender, {}, *stop_);
  }

  void take(const Uuid& sender, const RegisterAgent&) {
    if (std::ranges::find(agents_, sender) == agents_.end()) agents_.push_back(sender);
    say("agent");
  }

  void take(const Uuid&, const Heartbeat& beat) {
    step_ = std::max(step_, beat.step);
    for (const Uuid& agent : agents_) {
      hub_.send(agent, {},
                Progress{.step = step_,
                         .steps = 1000,
                         .loss = 1.5,
                         .rate = 10.0,
                         .rate_unit = "samples/s",
                         .workers = living(),
                         .seconds_left = 60.0});
    }
  }

  void take(const Uuid&, const StopRequest& request) {
    if (arguments_.has("--hasty")) return stop({.exit_code = 1, .reason = at_step(request.reason)});
    if (finishing_.empty()) say("asked to stop");
    finishing_ = request.reason;
    for (const auto& [rank, member] : members_) hub_.send(member.uuid, {}, FinishStep{.reason = request.reason});
    for (const Uuid& agent : agents_) hub_.send(agent, {}, FinishStep{.reason = request.reason});
    end_if_alone();
  }

  void take(const Uuid& sender, const Leave& leave) {
    const auto who = std::ranges::find_if(members_, [&](const auto& entry) { return entry.second.uuid == sender; });
    if (who == members_.end()) return;
    if (leave.exit_code == 1) stop({.exit_code = 1, .reason = fmt::format("worker {}: {}", who->first, leave.reason)});
    left_with_ = std::max(left_with_, leave.exit_code);
    ++left_;
    members_.erase(who);
    end_if_alone();
  }

  void take(const Uuid&, const WorkerEnded& end) {
    say(fmt::format("ended {} {} {} {}{}", end.rank, end.pid, end.exit_code, end.signal,
                    end.replaced ? " replaced" : ""));
    last_ended_ = end.pid;
    const auto who = std::ranges::find_if(members_, [&](const auto& entry) { return entry.second.pid == end.pid; });
    if (who != members_.end()) members_.erase(who);
    coming_.erase(end.rank);
    if (end.replaced) coming_[end.rank] = end.pid;
    const ExitStatus status{.exit_code = end.exit_code, .signal = end.signal};
    if (status.exit_code == 2) return stop({.exit_code = arguments_.has("--no-usage") ? 1 : 2, .reason = how(end)});
    if (!status.success() && status.exit_code != kExitStopped && !end.replaced) last_failure_ = how(end);
    end_if_alone();
  }

  template <class Body>
  void take(const Uuid&, const Body&) {}

  void end_if_alone() {
    if (living() > 0 || !coming_.empty()) return;
    if (left_ > 0 || !finishing_.empty()) {
      const int code = finishing_.empty() ? left_with_ : kExitStopped;
      stop({.exit_code = code, .reason = code == 0 ? "" : at_step(finishing_)});
    } else if (!last_failure_.empty()) {
      stop({.exit_code = 1, .reason = last_failure_});
    }
  }

  std::string how(const WorkerEnded& end) const {
    const ExitStatus status{.exit_code = end.exit_code, .signal = end.signal};
    return at_step(fmt::format("worker {} (pid {}) {}", end.rank, end.pid, describe_exit(status)));
  }
  std::string at_step(const std::string& what) const { return fmt::format("{} at step {}", what, step_); }

  const Arguments& arguments_;
  const int workers_;
  SignalReceiver signals_;
  Hub hub_;
  std::map<std::int32_t, Member> members_;       // by rank
  std::map<std::int32_t, std::int32_t> coming_;  // ranks that are replaced, and whom
  std::vector<Uuid> agents_;
  std::int64_t step_ = 0;
  std::int32_t last_ended_ = 0;
  int left_ = 0;
  int left_with_ = 0;
  bool started_ = false;
  bool hub_answers_ = false;
  std::string finishing_;
  std::string last_failure_;
  std::optional<Stop> stop_;
};

}  // namespace

int run_scheduler(const Arguments& arguments, int workers) {
  launcher::watch_lifeline(number_in(kLifelineVariable));
  const bool again = arguments.has("--restarted");
  if (arguments.has("--refuse") || (again && arguments.has("--refuse-again"))) {
    dprintf(STDERR_FILENO, "convoy: cannot bind\n");
    return 1;
  }
  if (arguments.has("--mute")) {
    for (;;) pause();
  }
  Scheduler scheduler(arguments, workers);
  const int pipe = number_in(kAddressDescriptorVariable);
  dprintf(pipe, "%s\n%s\n", scheduler.credentials().address.c_str(), scheduler.credentials().public_key.c_str());
  close(pipe);
  return scheduler.run();
}

}  // namespace convoy::stand_in
