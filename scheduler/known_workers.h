// Whom the records of a run know. A scheduler that was started anew needs them for what its journal, which holds the
// members of epochs, does not say: who came and was no member yet, by which number people know whom, whose end was
// told.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/uuid.h"

namespace convoy::scheduler {

struct KnownWorker {
  Uuid uuid;
  std::int32_t number = -1;
  std::string host;
  std::int32_t pid = 0;
  bool told_lost = false;
  bool told_excluded = false;
  bool left = false;
};

struct KnownWorkers {
  std::uint64_t first_term = 0;  // under which the run was last begun or resumed
  bool begun = false;            // an epoch was agreed on since
  std::vector<KnownWorker> workers{};
  // What was said of processes that ended before they registered, and their numbers.
  std::map<std::string, std::int32_t> unregistered{};
  std::set<std::string> damage{};  // to the journal
};

// The detail of an event of kind "worker_joined", and of one of kind "worker_lost" about a process that never did: both
// are read back.
std::string joined_detail(std::int32_t pid, const std::string& host);
std::string unregistered_detail(std::int32_t pid, const std::string& how);

// The detail of an event of kind "scheduler_restarted", likewise.
std::string restarted_detail(std::uint64_t term, const std::string& what);

// Of RUN/events.jsonl, since the run was last begun or resumed: by the scheduler of `first_term`, or if that is not
// known by the last one before `term` that did not go on with another's workers. Lines that are not whole count as
// absent.
KnownWorkers read_known_workers(const std::string& run_directory, std::uint64_t term,
                                std::optional<std::uint64_t> first_term);

}  // namespace convoy::scheduler
