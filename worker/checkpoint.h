// Checkpoints: a folder `checkpoints/step-N` of a run that holds all it takes to use or continue what was trained.
//
//   manifest.json            schema, step, ballot, and of each file its bytes and XXH3-128
//   recipe.toml              the resolved recipe
//   parameters.safetensors   the fp32 master parameters under their own names
//   optimizer.safetensors    the moments, as "m.<parameter>" and "v.<parameter>"
//
// The folder is written beside its place, flushed and renamed: under its final name it is whole.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/ballot.h"
#include "core/base/recipe.h"
#include "worker/replica.h"

namespace convoy::worker {

// Returns the checkpoint's folder. Throws Error(kUnavailable) naming the file.
std::string write_checkpoint(const std::string& run_directory, std::int64_t step, const Ballot& ballot,
                             const Recipe& recipe, const Replica& replica);

// The newest checkpoint of a run directory, or `source` itself if it is a checkpoint. Throws Error(kUsage).
std::string find_checkpoint(const std::string& source);

Recipe checkpoint_recipe(const std::string& checkpoint);

// Reads the parameters into the model's bound tensors. Throws Error(kDataLoss) naming the file and what
// is wrong with it.
void read_parameters(const std::string& checkpoint, const Replica& replica);

}  // namespace convoy::worker
