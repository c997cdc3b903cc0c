#include "tests/chaos/cuts/cut.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace convoy::chaos {

using testing_support::TcpEndpoint;

Cut Cut::between(std::vector<pid_t> side, std::vector<pid_t> others) {
  return Cut([side = std::move(side), others = std::move(others)] {
    std::vector<TcpEndpoint> ends;
    for (const pid_t one : side) {
      for (const pid_t other : others)
        std::ranges::copy(testing_support::endpoints_between(one, other), std::back_inserter(ends));
    }
    return ends;
  });
}

Cut Cut::around(pid_t process) {
  return Cut([process] { return testing_support::endpoints_of(process); });
}

Cut::Cut(std::function<std::vector<TcpEndpoint>()> what) : what_(std::move(what)) {
  cut();
  thread_ = std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      cut();
    }
  });
}

Cut::~Cut() { heal(); }

void Cut::cut() {
  for (const TcpEndpoint& end : what_()) {
    const std::lock_guard lock(mutex_);
    if (std::ranges::find(silenced_, end) == silenced_.end() && testing_support::silence(end)) silenced_.push_back(end);
  }
}

void Cut::heal() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  for (const TcpEndpoint& end : silenced_) testing_support::unsilence(end);
}

std::size_t Cut::ends() const {
  const std::lock_guard lock(mutex_);
  return silenced_.size();
}

}  // namespace convoy::chaos
