// Where a run's status page is found: RUN/http.json, for its owner's eyes only (it may hold the page's token).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/uuid.h"

namespace convoy::scheduler {

struct HttpPlace {
  std::string address;  // "127.0.0.1:41234": what is listened on
  std::string token;    // empty: none is asked for
  std::string host;     // on which the scheduler runs
  std::int32_t pid = 0;
  Uuid scheduler;  // which start of it; its /status.json says the same
  bool operator==(const HttpPlace&) const = default;
};

// The file stands while this lives; what is left of a scheduler that was killed is replaced.
class HttpFile {
 public:
  HttpFile(const std::string& run_directory, const HttpPlace& place);  // throws Error(kUnavailable)
  ~HttpFile();
  HttpFile(const HttpFile&) = delete;
  HttpFile& operator=(const HttpFile&) = delete;

  static std::string path_in(const std::string& run_directory) { return run_directory + "/http.json"; }
  // What stands there; nothing where there is no file, or none that makes sense.
  static std::optional<HttpPlace> read(const std::string& run_directory);

 private:
  std::string path_;
  Uuid scheduler_;
};

}  // namespace convoy::scheduler
