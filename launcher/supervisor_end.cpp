// How a run ends.
#include <fmt/ranges.h>

#include <optional>

#include "core/base/exit_code.h"
#include "core/base/signals.h"
#include "launcher/supervision.h"

namespace convoy::launcher {

namespace {

// A worker's own line about what the scheduler words as "worker 3: what".
std::string in_its_own_words(const std::string& reason) {
  const std::size_t colon = reason.starts_with("worker ") ? reason.find(": ") : std::string::npos;
  return "convoy: " + (colon == std::string::npos ? reason : reason.substr(colon + 2));
}

}  // namespace

// No worker is here or will come: the scheduler has the last word, unless it is gone itself.
void Supervisor::await_verdict() {
  const std::optional<int> code = workers_.agreed_exit();
  if (workers_.due()) return;  // something is still to be said of them
  if (!alone_.empty()) {
    const int exit_code = code.value_or(1);
    return conclude(exit_code, exit_code == 0
                                   ? ""
                                   : fmt::format("{}, {}", alone_,
                                                 exit_code == kExitStopped ? "stopped after a checkpoint"
                                                                           : "stopped without a checkpoint"));
  }
  if (!scheduler_ && !code) {  // others may go on
    // Who was refused has said why.
    conclude(workers_.misused() ? 2 : 1, workers_.misused() ? "" : "none of these workers is left in the run");
  } else if (!scheduler_ && !link_) {  // its last words were lost
    conclude(*code, *code == 0 ? "" : "stopped by a signal");
  } else if (!verdict_by_.at && link_) {
    verdict_by_.set(options_.limits.scheduler_verdict);
  } else if (verdict_by_.passed()) {
    conclude(1, fmt::format("no worker is left after step {}; {} did not answer", last_step_, scheduler_title()));
    end_everyone();
  }
}

void Supervisor::take_verdict(const cluster::Stop& stop) {
  if (ending_) return;
  judged_ = true;
  succeeded_ = stop.exit_code == 0;
  conclude(stop.exit_code, stop.reason);
  if (stop.exit_code == 0 || stop.exit_code == kExitStopped) {
    workers_.cease(false);
    if (!stop.save) workers_gone_by_.set(options_.limits.finish);
  } else if (stop_signal_ != 0) {
    workers_.cease(true);
    workers_gone_by_.set(options_.limits.finish);
  } else {
    end_workers();
  }
}

// All who took part have left, or are on their way.
void Supervisor::take_success() {
  judged_ = succeeded_ = true;
  conclude(0, "");
  workers_.cease(true);
  workers_.kill_newcomers(Clock::now());
  workers_gone_by_.set(options_.limits.finish);
}

// Settles the exit code and says why, once; only a failure replaces a success.
void Supervisor::conclude(int code, const std::string& reason) {
  if (ending_ && (verdict_ != 0 || code == 0)) return;
  ending_ = true;
  verdict_ = code;
  verdict_by_.at.reset();
  if (scheduler_) scheduler_->give_up();
  progress_.finish();
  if (!reason.empty() && said_.emplace(in_its_own_words(reason)).second) {
    output_.line(code == 0 ? Stream::kOutput : Stream::kErrors, code == 0 ? reason : "convoy: " + reason);
  }
}

// A failure on top of whatever was settled.
void Supervisor::complain(const std::string& what) {
  say(what);
  conclude(1, "");
}

void Supervisor::end_workers() {
  terminated_ = true;
  workers_.cease(true);
  workers_.terminate();
  workers_gone_by_.set(options_.limits.terminate);
  // It may still be writing down what happened.
  scheduler_gone_by_.set(2 * options_.limits.terminate);
}

void Supervisor::end_everyone() {
  end_workers();
  if (!scheduler_ || !scheduler_->running()) return;
  scheduler_->process().terminate();
  scheduler_gone_by_.set(options_.limits.terminate);
}

void Supervisor::kill_everyone() {
  conclude(1, fmt::format("stopped by {}", signal_name(stop_signal_)));
  workers_.cease(true);
  workers_.kill();
  if (scheduler_ && scheduler_->running()) scheduler_->process().kill_group();
}

std::string Supervisor::still_running() const {
  const std::vector<int> ranks = workers_.running_ranks();
  const bool one = ranks.size() == 1;
  const milliseconds limit = alone_.empty() ? options_.limits.finish : options_.limits.alone;
  return fmt::format("worker{} {} did not leave within {} s and {} killed", one ? "" : "s", fmt::join(ranks, ", "),
                     std::chrono::duration<double>(limit).count(), one ? "was" : "were");
}

}  // namespace convoy::launcher
