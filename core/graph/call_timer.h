// Is told what each call of a plan's replay took.
#pragma once

#include <chrono>
#include <cstddef>

namespace convoy {

class CallTimer {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~CallTimer() = default;
  virtual void ran(std::size_t call, Clock::time_point begin, Clock::time_point end) = 0;
  // The results that are there behind it were handed out: where communication begins.
  virtual void gave(std::size_t call, Clock::time_point begin, Clock::time_point end) = 0;
};

}  // namespace convoy
