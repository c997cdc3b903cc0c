#include "library/run_signals.h"

#include <unistd.h>

#include <csignal>
#include <utility>

#include "core/base/error.h"

namespace convoy::library {

namespace {

[[noreturn]] void die_of(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  raise(signal);
  _exit(1);
}

}  // namespace

void end_at_once(const std::string& reason) {
  const std::string line = "convoy: " + reason + "\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  _exit(1);
}

void ignore_broken_pipes() { std::signal(SIGPIPE, SIG_IGN); }

RunSignals::RunSignals(Early early)
    : receiver_(kStopSignals), watcher_(std::in_place, receiver_, [early](int signal) {
        if (early == Early::kDies) die_of(signal);
        if (early == Early::kSilent) _exit(1);
        end_at_once(fmt::format("stopped by {} before the run began", signal_name(signal)));
      }) {}

SignalReceiver& RunSignals::take() {
  watcher_.reset();
  return receiver_;
}

}  // namespace convoy::library
