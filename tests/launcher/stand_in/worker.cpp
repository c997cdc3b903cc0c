// A worker that counts: it registers, makes a step every 20 ms, and finds the scheduler again when that was replaced.
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>

#include "cluster/link.h"
#include "cluster/messages.h"
#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/signals.h"
#include "launcher/lifeline.h"
#include "tests/launcher/stand_in/stand_in.h"

namespace convoy::stand_in {
namespace {

using namespace cluster;
using std::chrono::milliseconds;

class Worker {
 public:
  Worker(const Arguments& arguments, const Place& place)
      : arguments_(arguments), place_(place), signals_(kStopSignals) {}

  int run() {
    connect();
    const std::int64_t steps = arguments_.number("steps", arguments_.has("--short") ? 5 : 1000);
    while (step_ < steps) {
      if (const auto code = exchange()) return *code;
      if (started_) link_->send({}, Heartbeat{.step = ++step_});
      if (started_ && arguments_.has("--fail") && place_.rank == 1) return fail();
    }
    while (arguments_.has("--linger") && place_.rank == 1) pause();
    return leave(0);
  }

 private:
  void connect() {
    link_ = std::make_unique<Link>(*place_.scheduler, self_);
    link_->send({},
                Register{.rank = place_.rank, .host = "here", .pid = getpid(), .meeting_place = "", .fingerprint = {}});
  }

  // Takes what came within 20 ms. The exit code, if that is to be the end.
  std::optional<int> exchange() {
    const bool stubborn = arguments_.has("--stubborn");
    try {
      if (const auto message = link_->receive(milliseconds(20))) {
        if (std::holds_alternative<Epoch>(message->body)) started_ = true;
        if (!stubborn && std::holds_alternative<FinishStep>(message->body)) return leave(kExitStopped);
        if (!stubborn && std::holds_alternative<Stop>(message->body)) return 1;
      }
    } catch (const Error&) {
      if (arguments_.has("--alone") && (asked_ || signals_.take())) return kExitStopped;
      std::this_thread::sleep_for(milliseconds(10));
      connect();
    }
    if (const auto signal = signals_.take(); signal && !stubborn) {
      asked_ = true;
      link_->send({}, StopRequest{.reason = "stopped by " + signal_name(*signal)});
    }
    return std::nullopt;
  }

  int leave(int code) {
    link_->send({}, Leave{.exit_code = code, .reason = "", .step = step_, .peak_rss_bytes = 0});
    link_->close(milliseconds(500));
    return code;
  }

  // Until the launcher, too, has heard it.
  void wait_for_stop() {
    for (auto message = link_->receive(milliseconds(5000)); message; message = link_->receive(milliseconds(5000))) {
      if (!std::holds_alternative<Stop>(message->body)) continue;
      std::this_thread::sleep_for(milliseconds(300));
      return;
    }
  }

  int fail() {
    const std::string reason = "samples.bin: is cut short";
    link_->send({}, Leave{.exit_code = 1, .reason = reason, .step = step_, .peak_rss_bytes = 0});
    if (arguments_.has("--late")) wait_for_stop();
    dprintf(STDERR_FILENO, "convoy: %s\n", reason.c_str());
    if (!arguments_.has("--late")) std::this_thread::sleep_for(milliseconds(100));
    link_->close(milliseconds(500));
    return 1;
  }

  const Arguments& arguments_;
  const Place& place_;
  const Uuid self_ = Uuid::random();
  SignalReceiver signals_;
  std::unique_ptr<Link> link_;
  std::int64_t step_ = 0;
  bool started_ = false;
  bool asked_ = false;  // to stop
};

}  // namespace

int run_worker(const Arguments& arguments) {
  launcher::watch_lifeline(number_in(kLifelineVariable));
  const Place place = find_place(variable);
  if (arguments.has("--usage")) {
    dprintf(STDERR_FILENO, "convoy: gpt.toml:3: model.kind: expected \"gpt\" or \"mlp\"\n");
    return 2;
  }
  if (arguments.has("--grandchild") && fork() == 0) {
    // As a program that a worker starts through a shell: it knows nothing but the lifeline.
    prctl(PR_SET_PDEATHSIG, 0);
    launcher::watch_lifeline(number_in(kLifelineVariable));
    for (;;) pause();
  }
  printf("hello from %d\n", place.rank);
  fflush(stdout);
  if (place.rank == 1 && arguments.has("--crash")) kill(getpid(), SIGKILL);
  if (place.rank != 0 && arguments.has("--exit")) return 3;
  return Worker(arguments, place).run();
}

}  // namespace convoy::stand_in
