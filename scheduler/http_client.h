// Asks a run's status page, as `convoy status` does.
#pragma once

#include <chrono>
#include <string>

namespace convoy::scheduler {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

// GET `target` ("/status.json") of `address` ("127.0.0.1:41234"), with `token` unless it is empty. Throws
// Error(kUnavailable) when nobody answers in time, or what does is no HTTP server; Error(kUsage) for an address that
// makes no sense.
HttpAnswer http_get(const std::string& address, const std::string& target, const std::string& token,
                    std::chrono::milliseconds timeout);

}  // namespace convoy::scheduler
