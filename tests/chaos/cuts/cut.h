// A partition among the processes of one machine: from now on nothing gets through between them, and nothing says so.
#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/support/silenced_sockets.h"

namespace convoy::chaos {

// Goes on looking for connections that are made anew, until it heals.
class Cut {
 public:
  // Both ends of whatever connects one of `side` with one of `others`.
  static Cut between(std::vector<pid_t> side, std::vector<pid_t> others);
  // All that `process` has of TCP, where others connect to it included.
  static Cut around(pid_t process);

  // Waits until the first ones are cut.
  explicit Cut(std::function<std::vector<testing_support::TcpEndpoint>()> what);
  ~Cut();
  Cut(const Cut&) = delete;
  Cut& operator=(const Cut&) = delete;

  void heal();
  // How many ends were cut so far.
  std::size_t ends() const;

 private:
  void cut();

  const std::function<std::vector<testing_support::TcpEndpoint>()> what_;
  mutable std::mutex mutex_;
  std::vector<testing_support::TcpEndpoint> silenced_;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace convoy::chaos
