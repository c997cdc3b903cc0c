// What a step of a run will need and do, told before there is one: memory, operations, traffic.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/recipe.h"
#include "worker/replica.h"

namespace convoy::worker {

// For rank 0 of `world` workers, `local_world` of which share this machine, which has the most shards. The replica's
// step has been captured.
std::string dry_run(const Recipe& recipe, const Replica& replica, std::int32_t world, std::int32_t local_world);

}  // namespace convoy::worker
