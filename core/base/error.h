// The one kind of error in Convoy. Libraries throw it and never exit or abort; main() turns it into one line and an
// exit code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace convoy {

enum class ErrorCode {
  kUsage,            // the user's command line, recipe or data is wrong; the program exits with 2
  kInvalidArgument,  // a caller broke a documented rule (shapes, ranges)
  kDataLoss,         // a file or message is torn or corrupt
  kPeerLost,         // another process of the run is gone or unreachable
  kInterrupted,      // a signal or the scheduler asked us to stop
  kUnavailable,      // the system refused something (sockets, memory, processes)
  kInternal,         // a defect in Convoy
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// Throws Error with a formatted message. The message says what, where and what was expected, in one line.
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// The text of errno value `error` ("Connection refused").
std::string errno_text(int error);

}  // namespace convoy
