// When a run writes checkpoints and which of them it keeps. Rank 0 has one.
#pragma once

#include <string>

#include "core/base/recipe.h"
#include "worker/checkpoint.h"
#include "worker/replica.h"
#include "worker/reporter.h"

namespace convoy::worker {

class Checkpointer {
 public:
  // Keeps references to all but the run directory.
  Checkpointer(std::string run_directory, const Recipe& recipe, const Replica& replica, Reporter& reporter);

  // Whether one is due after `step`: every checkpoint.every steps, and after the last one.
  static bool due(const Recipe& recipe, std::int64_t step);

  // Writes one, once the records of its steps are on disk, tells the scheduler, and removes those that need not be
  // kept. Returns its folder. Throws Error(kUnavailable) or Error(kDataLoss) naming the file when it cannot be written;
  // those that stand stay. Throws as Reporter::wait_until_recorded() does.
  std::string write(const CheckpointFacts& facts);

 private:
  const std::string run_directory_;
  const Recipe& recipe_;
  const Replica& replica_;
  Reporter& reporter_;
};

}  // namespace convoy::worker
