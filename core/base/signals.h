// Signals as values: names for messages, and a descriptor to read them from, so that a poll loop (or one thread) deals
// with them like with any other event and no code runs inside a handler.
#pragma once

#include <csignal>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <thread>

namespace convoy {

// "SIGKILL", "SIGRTMIN+2"; "signal 99" for what has no name.
std::string signal_name(int signal);

// Signals that end a run in order: SIGINT, SIGTERM, SIGHUP, and those by which batch systems announce a preemption.
inline constexpr std::initializer_list<int> kStopSignals = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
// Whether it announces what another signal will do later: it asks nobody to hurry.
inline bool announces_preemption(int signal) { return signal == SIGUSR1 || signal == SIGUSR2; }

// How a process ended: by itself with a code, or by a signal (then the code means nothing).
struct ExitStatus {
  int exit_code = 0;
  int signal = 0;

  bool success() const { return exit_code == 0 && signal == 0; }
  bool operator==(const ExitStatus&) const = default;
};

// "exited with code 3", "was killed by signal 9 (SIGKILL)".
std::string describe_exit(const ExitStatus& status);

// Blocks signals in the calling thread and in the threads it starts from then on, and collects them instead. Make it
// before the first thread. A hang-up that was ignored on entry (nohup) stays ignored. The destructor discards what is
// pending and restores the thread's mask.
class SignalReceiver {
 public:
  explicit SignalReceiver(std::initializer_list<int> signals);  // throws Error(kUnavailable)
  ~SignalReceiver();
  SignalReceiver(const SignalReceiver&) = delete;
  SignalReceiver& operator=(const SignalReceiver&) = delete;

  // Polls readable while a signal is pending.
  int descriptor() const { return descriptor_; }
  // The next signal, or nothing when none is pending. Never waits.
  std::optional<int> take();

 private:
  int descriptor_ = -1;
  sigset_t before_{};
};

// Calls `action` with each signal that `receiver` collects, from a thread of its own, until destroyed.
class SignalWatcher {
 public:
  SignalWatcher(SignalReceiver& receiver, std::function<void(int signal)> action);  // throws Error(kUnavailable)
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  int end_ = -1;  // an event descriptor
  std::thread thread_;
};

}  // namespace convoy
