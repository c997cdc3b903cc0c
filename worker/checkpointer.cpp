#include "worker/checkpointer.h"

#include <utility>

#include "core/base/durable_file.h"
#include "worker/checkpoint_store.h"

namespace convoy::worker {

Checkpointer::Checkpointer(std::string run_directory, const Recipe& recipe, const Replica& replica, Reporter& reporter)
    : run_directory_(std::move(run_directory)), recipe_(recipe), replica_(replica), reporter_(reporter) {}

bool Checkpointer::due(const Recipe& recipe, std::int64_t step) {
  const std::int64_t every = recipe.checkpoint.every;
  return step == recipe.train.steps || (every > 0 && step % every == 0);
}

std::string Checkpointer::write(const CheckpointFacts& facts) {
  // A run that is resumed from here goes on with the records of the steps before.
  reporter_.wait_until_recorded(facts.step);
  sync_file(run_directory_ + "/metrics.jsonl");
  const std::string checkpoint = write_checkpoint(run_directory_, facts, recipe_, replica_);
  reporter_.send(cluster::EventReport{.kind = "checkpoint", .step = facts.step, .detail = checkpoint});
  keep_newest(run_directory_, recipe_.checkpoint.keep);
  return checkpoint;
}

}  // namespace convoy::worker
