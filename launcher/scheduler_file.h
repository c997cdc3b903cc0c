// Where a scheduler that nobody launched can be found: RUN/scheduler.json, for its owner's eyes only.
#pragma once

#include <string>

#include "cluster/link.h"

namespace convoy::launcher {

// The file stands while this lives. It is a JSON object with the schema version and the credentials as strings:
// {"schema": 1, "address": "tcp://127.0.0.1:41234", "public_key": "…", "token": "…"}.
class SchedulerFile {
 public:
  SchedulerFile(const std::string& run_directory, const cluster::Credentials& credentials);  // throws kUnavailable
  ~SchedulerFile();
  SchedulerFile(const SchedulerFile&) = delete;
  SchedulerFile& operator=(const SchedulerFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace convoy::launcher
