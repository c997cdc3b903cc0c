// What a worker does that no scheduler is left for.
#include <fcntl.h>
#include <sys/file.h>

#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/unique_fd.h"
#include "worker/checkpoint_store.h"
#include "worker/trainer.h"

namespace convoy::worker {
namespace {

// Those who see the same run directory write one after the other, as far as its file system knows locks.
UniqueFd take_turn(const std::string& run_directory) {
  UniqueFd folder(::open(run_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) ::flock(folder.get(), LOCK_EX);
  return folder;
}

}  // namespace

// Every worker of the epoch has the state, of the same step or of the next: whoever is furthest leaves it in a
// checkpoint, with the lines about the steps in it that nobody has on record.
Trainer::End Trainer::save_alone() {
  const UniqueFd turn = take_turn(command_.run_directory);
  const std::vector<std::int64_t> saved = checkpoint_steps(command_.run_directory);
  if (saved.empty() || saved.back() < applied()) {
    try {
      if (command_.record) command_.record(reporter_->unrecorded());
    } catch (const Error& error) {
      logger_.warning("{}", error.what());
      if (error.code() == ErrorCode::kUsage)
        reporter_->fail_ended();  // a scheduler lives, and goes on without this one
    }
    reporter_->recorded_elsewhere(applied());
    save_and_leave({.exit_code = kExitStopped, .save = true, .reason = {}});
  }
  logger_.info("no scheduler is left: the state after step {} stands in a checkpoint", applied());
  return {.exit_code = kExitStopped, .reason = fmt::format("no scheduler is left after step {}", applied())};
}

}  // namespace convoy::worker
