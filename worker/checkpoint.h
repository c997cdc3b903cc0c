// Checkpoints: a folder `checkpoints/step-N` of a run that holds all it takes to use or continue what was trained.
//
//   manifest.json            what it is of, and of each file its bytes and XXH3-128 (worker/manifest.h)
//   recipe.toml              the resolved recipe
//   parameters.safetensors   parameters and running statistics under their own names, fp32
//   optimizer.safetensors    the optimizer's moments, as "m.<parameter>", "v.<parameter>", …
//
// The folder is written beside its place, flushed, read again and renamed: under its final name it is whole. Which ones
// stand and which go is the business of worker/checkpoint_store.h, when they are written that of worker/checkpointer.h.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "core/base/ballot.h"
#include "core/base/recipe.h"
#include "worker/manifest.h"
#include "worker/replica.h"
#include "worker/state_copy.h"

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

// The memory that a checkpoint is made of, in its order.
std::vector<StateCopy::Bytes> state_bytes(const Replica& replica);

// One that is being written. Until it is committed nothing stands under its final name; it goes if it never is.
// Errors are Error(kUnavailable) naming the file where the system refuses, Error(kDataLoss) where what was written does
// not read back.
class UnfinishedCheckpoint {
 public:
  UnfinishedCheckpoint(std::string run_directory, CheckpointFacts facts);
  ~UnfinishedCheckpoint();
  UnfinishedCheckpoint(const UnfinishedCheckpoint&) = delete;
  UnfinishedCheckpoint& operator=(const UnfinishedCheckpoint&) = delete;

  // Writes all of it to the disk, in small pieces, and reads it again. `state`: of state_bytes(), begun, read to its
  // end; the replica itself is asked for names and shapes only, so that it may be trained meanwhile. `between_pieces`
  // may throw, to give up.
  void write(
      const Recipe& recipe, const Replica& replica, StateCopy& state,
      const std::function<void()>& between_pieces = [] {});
  // Gives it its final name, in place of one that may stand there; returns the folder.
  const std::string& commit();
  // Waits until the name is on the disk, too.
  void settle() const;

 private:
  const std::string run_directory_;
  const CheckpointFacts facts_;
  const std::string target_;
  const std::string partial_;
  bool committed_ = false;
};

// Writes one while the caller waits. Returns its folder. Throws as UnfinishedCheckpoint does; nothing new stands under
// a final name then.
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
