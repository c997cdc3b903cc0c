// Where a run's scheduler is found by processes that nobody told when they were started: RUN/scheduler.json, for its
// owner's eyes only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/link.h"

namespace convoy::launcher {

// What such a process needs to know.
struct Whereabouts {
  std::vector<std::string> addresses;  // "tcp://10.0.0.1:41234", in the order in which to try them; one at least
  std::string public_key;
  std::string token;
  // Which start of which run (cluster::Place::incarnation), so that what an earlier one left is not taken for it. Empty
  // where the launcher gives none.
  std::string incarnation;
  std::int64_t resume_step = 0;  // of the checkpoint that this start goes on from; 0: from the beginning
};
// A JSON object with the schema version: {"schema": 3, "address": "tcp://127.0.0.1:41234", "addresses": [all of them],
// "public_key": "…", "token": "…", "incarnation": "…", "resume_step": 0}.
std::string to_text(const Whereabouts& whereabouts);
// Throws Error(kDataLoss) for another schema or what is no such object.
Whereabouts whereabouts_of(std::string_view text);

// The file stands while this lives; it is written beside its place and renamed.
class SchedulerFile {
 public:
  SchedulerFile(const std::string& run_directory, const Whereabouts& whereabouts);  // throws kUnavailable
  ~SchedulerFile();
  SchedulerFile(const SchedulerFile&) = delete;
  SchedulerFile& operator=(const SchedulerFile&) = delete;

  const std::string& path() const { return path_; }
  static std::string path_in(const std::string& run_directory) { return run_directory + "/scheduler.json"; }
  // What stands there; nothing where there is no file. Throws Error(kDataLoss) naming it when it makes no sense.
  static std::optional<Whereabouts> read(const std::string& run_directory);

 private:
  std::string path_;
};

}  // namespace convoy::launcher
