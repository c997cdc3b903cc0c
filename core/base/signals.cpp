#include "core/base/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/error.h"

namespace convoy {
namespace {

bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

std::string signal_name(int signal) {
  if (const char* name = sigabbrev_np(signal)) return std::string("SIG") + name;
  if (signal >= SIGRTMIN && signal <= SIGRTMAX) return fmt::format("SIGRTMIN+{}", signal - SIGRTMIN);
  return fmt::format("signal {}", signal);
}

std::string describe_exit(const ExitStatus& status) {
  if (status.signal != 0) return fmt::format("was killed by signal {} ({})", status.signal, signal_name(status.signal));
  return fmt::format("exited with code {}", status.exit_code);
}

SignalReceiver::SignalReceiver(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    // A signal that is blocked is delivered to the descriptor even where its disposition is to ignore it.
    if (signal == SIGHUP && is_ignored(signal)) continue;
    sigaddset(&set, signal);
  }
  descriptor_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (descriptor_ < 0) fail(ErrorCode::kUnavailable, "signalfd: {}", errno_text(errno));
  pthread_sigmask(SIG_BLOCK, &set, &before_);
}

SignalReceiver::~SignalReceiver() {
  while (take()) {
  }
  close(descriptor_);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

std::optional<int> SignalReceiver::take() {
  signalfd_siginfo info{};
  ssize_t got = 0;
  do {
    got = read(descriptor_, &info, sizeof info);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

SignalWatcher::SignalWatcher(SignalReceiver& receiver, std::function<void(int signal)> action)
    : end_(eventfd(0, EFD_CLOEXEC)) {
  if (end_ < 0) fail(ErrorCode::kUnavailable, "eventfd: {}", errno_text(errno));
  thread_ = std::thread([this, &receiver, action = std::move(action)] {
    pollfd watched[] = {{.fd = receiver.descriptor(), .events = POLLIN, .revents = 0},
                        {.fd = end_, .events = POLLIN, .revents = 0}};
    while (watched[1].revents == 0) {
      poll(watched, 2, -1);
      while (const auto signal = receiver.take()) action(*signal);
    }
  });
}

SignalWatcher::~SignalWatcher() {
  eventfd_write(end_, 1);
  thread_.join();
  close(end_);
}

}  // namespace convoy
