#include "launcher/restarts.h"

#include <algorithm>

namespace convoy::launcher {

using std::chrono::milliseconds;

std::optional<milliseconds> Restarts::after_death(Time started, Time now) {
  while (!done_.empty() && now - done_.front() >= rules_.window) done_.pop_front();
  if (static_cast<int>(done_.size()) >= rules_.most) return std::nullopt;
  done_.push_back(now);
  if (!wait_ || now - started >= rules_.young) {
    wait_ = milliseconds(0);
  } else {
    wait_ = *wait_ == milliseconds(0) ? rules_.first_wait : std::min(2 * *wait_, rules_.longest_wait);
  }
  return wait_;
}

}  // namespace convoy::launcher
