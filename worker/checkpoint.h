// Checkpoints: a folder `checkpoints/step-N` of a run that holds all it takes to use or continue what was trained.
//
//   manifest.json            what it is of, and of each file its bytes and XXH3-128 (worker/manifest.h)
//   recipe.toml              the resolved recipe
//   parameters.safetensors   parameters and running statistics under their own names, fp32
//   optimizer.safetensors    the optimizer's moments, as "m.<parameter>", "v.<parameter>", …
//
// The folder is written beside its place, flushed, renamed and read again: under its final name it is whole. Which ones
// stand and which go is the business of worker/checkpoint_store.h.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/ballot.h"
#include "core/base/recipe.h"
#include "worker/manifest.h"
#include "worker/replica.h"

namespace convoy::worker {

// What a checkpoint is of, besides the state.
struct CheckpointFacts {
  std::int64_t step = 0;  // steps applied
  Ballot ballot;
  std::int32_t world = 1;
  double loss = 0.0;       // of `step`
  bool evaluated = false;  // see Manifest
  std::string data_digest{};
};

// Returns the checkpoint's folder. Throws Error(kUnavailable) naming the file where the system refuses,
// Error(kDataLoss) where what was written does not read back; nothing new stands under a final name then.
std::string write_checkpoint(const std::string& run_directory, const CheckpointFacts& facts, const Recipe& recipe,
                             const Replica& replica);

// The checkpoint's own recipe, with overrides. `program` as for load_recipe().
Recipe checkpoint_recipe(const std::string& checkpoint, std::span<const std::string> overrides = {},
                         const ProgramRecipe& program = {});

// Reads the parameters, or everything, into the replica. Throws Error(kDataLoss) naming the file and what is wrong with
// it: damage, or a tensor that is missing, left over or of another shape, as in another model's checkpoint.
void read_parameters(const std::string& checkpoint, const Replica& replica);
Manifest read_state(const std::string& checkpoint, const Replica& replica);

}  // namespace convoy::worker
