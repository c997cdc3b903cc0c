// Whether a run's records say that every logical shard of every step counted exactly once, and who summed it: read from
// metrics.jsonl, where each step stands with what its sum was made of, and from the journal, which knows the workers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/uuid.h"

namespace convoy::scheduler {

struct WorkerShare {
  Uuid worker;
  std::int64_t steps = 0;   // to which it gave something
  std::int64_t shards = 0;  // altogether
};

struct ShardAudit {
  std::int64_t steps = 0;            // on record
  std::vector<std::string> wrong;    // a line each that names the step, and the shard where it is about one
  std::vector<WorkerShare> workers;  // in the order of their first shards
  std::int64_t without_epoch = 0;    // steps of epochs that the journal does not have: whose ranks is not known
};

// What a recipe says of a step.
struct StepShape {
  std::int32_t shards = 0;
  std::int64_t samples = 0;
};

// `used` is called for each shard that a step's sum was made of, as often as it was, step after step. Throws
// Error(kUnavailable) where there are no records, Error(kDataLoss) for a line that is none.
ShardAudit audit_shards(const std::string& run_directory, const StepShape& shape,
                        const std::function<void(std::int64_t step, std::int32_t shard)>& used);

}  // namespace convoy::scheduler
