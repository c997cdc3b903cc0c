// A pipe on which nothing is ever said: its end means that the launcher is gone, however it went. Unlike the kernel's
// parent-death signal it also reaches processes that a child of the launcher started.
#pragma once

#include "launcher/pipe.h"

namespace convoy::launcher {

// The launcher's end; lives as long as its children may.
class Lifeline {
 public:
  Lifeline() : pipe_(make_pipe()) {}
  // What children inherit. Its number is their CONVOY_LIFELINE.
  int inherited() const { return pipe_.read_end.get(); }

 private:
  Pipe pipe_;
};

// A child's end: a background thread that kills this process (SIGKILL) as soon as the launcher is gone. Throws
// Error(kUsage) if `descriptor` is not open.
void watch_lifeline(int descriptor);

}  // namespace convoy::launcher
