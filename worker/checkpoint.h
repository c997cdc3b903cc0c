// Checkpoints: a folder `checkpoints/step-N` of a run that holds all it takes to use or continue what was trained.
//
//   manifest.json            what it is of, and of each file its bytes and XXH3-128 (worker/manifest.h)
//   recipe.toml              the resolved recipe
//   parameters.safetensors   parameters and running statistics under their own names, fp32
//   optimizer.safetensors    the optimizer's moments, as "m.<parameter>", "v.<parameter>", …
//
// The folder is written beside its place, flushed, read again and renamed: under its final name it is whole. Several
// workers may write it, each its share of the files' bytes (worker/state_layout.h); the first of them makes the folder
// and commits once the others' reports (worker/share.h) say that theirs are on the disk, and are what it has itself.
// Which ones stand and which go is the business of worker/checkpoint_store.h, when they are written that of
// worker/checkpointer.h.
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
#include "worker/state_layout.h"

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

// Who writes it: the same to all who do.
struct CheckpointPlan {
  std::vector<std::int32_t> writers{0};  // ranks; the first one commits
  std::string tag{};                     // of the folder while it is written; empty where there is one writer
  bool is_shared() const { return writers.size() > 1; }
};

// One that is being written. Until it is committed nothing stands under its final name; it goes if it never is.
// Errors are Error(kUnavailable) naming the file where the system refuses, Error(kDataLoss) where what was written does
// not read back.
class UnfinishedCheckpoint {
 public:
  // The layout outlives it.
  UnfinishedCheckpoint(std::string run_directory, CheckpointFacts facts, const StateLayout& layout,
                       CheckpointPlan plan = {});
  ~UnfinishedCheckpoint();
  UnfinishedCheckpoint(const UnfinishedCheckpoint&) = delete;
  UnfinishedCheckpoint& operator=(const UnfinishedCheckpoint&) = delete;

  // In this order. `between_pieces` may throw, to give up.
  using BetweenPieces = std::function<void()>;
  // Writes the first writer's share to the disk, in small pieces, and reads it again. `state`: of all of the state,
  // begun, read to its end.
  void write(StateCopy& state, const BetweenPieces& between_pieces);
  // Whether the others' shares are on the disk, too; missing_shares() says whose are not: to be asked again and again.
  // Throws Error(kDataLoss) for one that failed, or is not what this worker has.
  bool has_all_shares();
  const std::vector<std::int32_t>& missing_shares() const { return missing_; }
  // All that is not the state; reads it again.
  void complete(const Recipe& recipe);
  // Gives it its final name, in place of one that may stand there; returns the folder.
  const std::string& commit();
  // Waits until the name is on the disk, too.
  void settle() const;

 private:
  void make_files() const;

  const std::string run_directory_;
  const CheckpointFacts facts_;
  const StateLayout& layout_;
  const std::vector<StateRange> shares_;  // by writer
  const CheckpointPlan plan_;
  const std::string target_;
  const std::string partial_;
  Manifest manifest_;
  std::vector<std::string> expected_;  // reports, by writer
  std::vector<std::int32_t> missing_;
  bool committed_ = false;
};

// The share of one of the other writers of such a checkpoint: waits until its files stand, writes, reads again and
// reports. What fails is said in a report, too, as far as that is possible.
class CheckpointShare {
 public:
  CheckpointShare(const std::string& run_directory, std::int64_t step, const StateLayout& layout,
                  const CheckpointPlan& plan, std::int32_t rank);

  const StateRange& range() const { return range_; }  // of the state; empty: it has none
  bool is_given_up() const;                           // by who commits: its files were there and are gone
  // `state`: of that range, begun, read to its end. Throws as UnfinishedCheckpoint does.
  void write(StateCopy& state, const std::function<void()>& between_pieces);

 private:
  void wait_for_files(const std::function<void()>& between_pieces);
  void report_failure(const std::string& reason) const noexcept;

  const StateLayout& layout_;
  const std::string partial_;
  const std::string report_;  // its path
  const StateRange range_;
  bool appeared_ = false;
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
