// Whether a process that died is started again, and when. It knows no clock: time is passed in.
#pragma once

#include <chrono>
#include <deque>
#include <optional>

namespace convoy::launcher {

struct RestartRules {
  int most = 10;                                // restarts within `window`; 0: none
  std::chrono::milliseconds window{3'600'000};  // an hour
  // What dies again so soon after its start waits before the next one, each time twice as long.
  std::chrono::milliseconds young{10'000};
  std::chrono::milliseconds first_wait{500};
  std::chrono::milliseconds longest_wait{30'000};
};

// Of one process.
class Restarts {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Restarts(const RestartRules& rules) : rules_(rules) {}

  // It was started at `started` and died at `now`: how long to wait before it is started again, which then counts as
  // done; nothing: none are left.
  std::optional<std::chrono::milliseconds> after_death(Time started, Time now);

 private:
  const RestartRules rules_;
  std::deque<Time> done_;                          // within the window
  std::optional<std::chrono::milliseconds> wait_;  // before the last one
};

}  // namespace convoy::launcher
