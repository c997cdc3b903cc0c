// The folder `checkpoints` of a run: which checkpoints stand in it, which is the newest whole one, which go.
//
//   step-N           whole when it was written
//   damaged-step-N   found not to be whole any more by a run that was resumed from an older one; kept for whoever asks
//   .step-N.partial-X  being written, or being removed; a leftover of a process that was killed
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/uuid.h"

namespace convoy::worker {

// What stands in the run directory's file run-id, which its first scheduler made: two workers that read the same see
// the same directory, unless somebody copied it. Nil where there is none.
Uuid read_run_id(const std::string& run_directory);

std::string checkpoint_path(const std::string& run_directory, std::int64_t step);
// Another one for each `tag`: two workers, of which one does not yet know that it leads no more, do not meet there.
std::string unfinished_path(const std::string& run_directory, std::int64_t step, const std::string& tag);
std::string unfinished_path(const std::string& run_directory, std::int64_t step);  // with a tag drawn by chance

// The steps of the checkpoints that stand under a final name, ascending.
std::vector<std::int64_t> checkpoint_steps(const std::string& run_directory);

// Which files of a checkpoint are looked at.
enum class CheckpointPart : std::uint8_t { kParameters, kEverything };

// One line that names the first file that is not what was written, and what is wrong with it; nothing for a whole one.
std::optional<std::string> find_damage(const std::string& run_directory, std::int64_t step,
                                       CheckpointPart part = CheckpointPart::kEverything);

// The newest whole checkpoint, every byte of it compared with its manifest; nothing where there is none.
struct CheckpointSearch {
  std::optional<std::int64_t> step;
  std::vector<std::string> damaged;  // of each newer one a line that names the file and what is wrong with it
};
CheckpointSearch find_whole_checkpoint(const std::string& run_directory, CheckpointPart part);

// What `convoy eval` and `convoy generate` read: `source` itself if it is a checkpoint, else the newest whole one of
// the run directory; `warn` hears of each newer one that is damaged. Throws Error(kUsage) where there is none at all,
// Error(kDataLoss) where none is whole.
std::string open_checkpoint(const std::string& source, CheckpointPart part,
                            const std::function<void(const std::string&)>& warn);

// Gives a finished checkpoint its final name. One that stands there already is at `partial` then. Throws
// std::filesystem::filesystem_error.
void move_into_place(const std::string& partial, const std::string& target);
// Removes the folder as far as that goes; throws nothing.
void discard(const std::string& folder) noexcept;

// Removes all but the newest `keep` checkpoints. Each goes under another name first, so that none is ever half there.
void keep_newest(const std::string& run_directory, std::int64_t keep);
// Takes a checkpoint that is not whole out of the way.
void set_aside(const std::string& run_directory, std::int64_t step);
// Removes what killed processes left half-written in `checkpoints`: while nobody writes there.
void remove_unfinished(const std::string& run_directory);
// The same, and temporary files of the run's own records.
void remove_leftovers(const std::string& run_directory);

}  // namespace convoy::worker
