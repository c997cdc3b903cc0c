// What decides the bits of a worker's results and must therefore be equal on all of them.
#pragma once

#include "cluster/place.h"
#include "core/base/fingerprint.h"
#include "core/base/recipe.h"
#include "core/data/dataset.h"
#include "worker/replica.h"

namespace convoy::worker {

// The build id that the linker stamped into this program, as hex.
std::string program_build();

Fingerprint fingerprint_of(const Recipe& recipe, const Dataset& dataset, const Replica& replica,
                           const cluster::Environment& environment);

}  // namespace convoy::worker
