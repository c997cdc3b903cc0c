// How a worker takes up a run that was stopped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/recipe.h"
#include "core/data/dataset.h"
#include "worker/checkpoint.h"
#include "worker/replica.h"

namespace convoy::worker {

// Reads the state after `step` into the replica. Throws Error(kDataLoss) naming the file that is damaged,
// Error(kUsage) naming the first key of the recipe that may not differ, or data that are not the run's.
Manifest resume_from(const std::string& run_directory, std::int64_t step, const Recipe& recipe,
                     const ProgramRecipe& program, const Dataset& dataset, const Replica& replica);

// What the event says: which checkpoint, world then and now, what the recipe changed.
std::string describe_resume(const std::string& run_directory, const Manifest& manifest, const Recipe& recipe,
                            const ProgramRecipe& program, std::int32_t world);

// Takes checkpoints of later steps out of the way: they are damaged, or the run would not have been resumed from an
// older one. Returns for each a line that says what is wrong with it.
std::vector<std::string> set_aside_later(const std::string& run_directory, std::int64_t step);

}  // namespace convoy::worker
