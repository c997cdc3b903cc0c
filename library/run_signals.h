// The signals that end a run, from a process's first moment on.
#pragma once

#include <optional>
#include <string>

#include "core/base/signals.h"

namespace convoy::library {

// Where the main thread cannot be waited for. The files of a run are whole at any moment.
[[noreturn]] void end_at_once(const std::string& reason);

// A reader of our output that goes away must not end a run: writing to it fails instead.
void ignore_broken_pipes();

// Collects the signals that stop a run (core/base/signals.h). Until somebody takes them they end the process at once:
// reading the data and building the model take their time, and nothing is lost with them. Make it before the first
// thread.
class RunSignals {
 public:
  // How a signal ends the process before somebody takes them.
  enum class Early {
    kSaysSo,  // with exit code 1
    kSilent,  // likewise: others say it
    kDies     // of the signal: `convoy launch`, its parent, takes it for one of its own
  };
  explicit RunSignals(Early early);

  SignalReceiver& take();

 private:
  SignalReceiver receiver_;
  std::optional<SignalWatcher> watcher_;
};

}  // namespace convoy::library
