// A child process whose lines are handed on as they come.
#pragma once

#include <poll.h>

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "launcher/output.h"
#include "launcher/process.h"

namespace convoy::launcher {

class ForwardedProcess {
 public:
  using TakeLine = std::function<void(Stream, std::string_view line)>;

  ForwardedProcess(const SpawnOptions& options, const TakeLine& take);

  Process& process() { return process_; }
  bool running() const { return !process_.reaped(); }

  // Adds what to wait for: the child's end and, unless `only_end`, its lines.
  void watch(std::vector<pollfd>& watched, bool only_end) const;
  // Hands on the lines that have come. Never waits.
  void forward();
  // Reaps the child if it has ended, after handing on the last it said. What its own children say later is lost.
  std::optional<ExitStatus> try_reap();

 private:
  struct Source {
    bool open = true;
    LineSplitter lines;
  };
  static bool forward_once(const UniqueFd& fd, Source& source);

  Process process_;
  Source output_;
  Source errors_;
};

}  // namespace convoy::launcher
