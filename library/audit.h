// Whether a run used every shard of every step, and every sample of every pass over its data, exactly once: worked out
// anew from its recipe, its data and what its records say of who summed which shards.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "scheduler/shard_audit.h"
#include "worker/workload.h"

namespace convoy::library {

struct RunAudit {
  scheduler::ShardAudit shards;
  std::int64_t shards_a_step = 0;
  std::int64_t samples = 0;         // used, each as often as it was
  std::int64_t samples_a_pass = 0;  // over the data
  std::vector<std::string> wrong;   // a line each; none: each once
};

// Of what stands on record so far. `overrides`: of where the data lie. Throws Error(kUsage) for what is no run
// directory, and for data that cannot be opened.
RunAudit audit_run(const std::string& run_directory, std::span<const std::string> overrides,
                   const worker::Workload& workload);

// "runs/x: 40 steps of 8 shards, 640 samples in 1.3 passes over the data; each once", and a line for each worker.
std::string to_text(const std::string& run_directory, const RunAudit& audit);

}  // namespace convoy::library
