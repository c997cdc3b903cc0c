// A small training run of real processes, some of which are struck on the way, and what of it must be as if nothing had
// happened.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/base/uuid.h"
#include "scheduler/journal.h"
#include "tests/support/launched_run.h"

namespace convoy::chaos {

// Who trains, and how.
struct Company {
  int workers = 3;
  std::string graph = "static";
  std::string engine = "local";
};

// What a run leaves that must not tell whether anybody was struck.
struct Traces {
  std::vector<std::int64_t> steps;                             // as metrics.jsonl lists them
  std::vector<std::string> loss_bits;                          // of each
  std::map<std::int64_t, std::vector<std::string>> evaluated;  // what was found after a step, as often as it was
  std::string final_bits;                                      // hashes and held-out loss of final.json
  std::vector<std::string> misused;  // shards and samples that were not used exactly once, a line each
  std::set<std::string> files;       // but logs, journal, checkpoints on the way and what TensorBoard reads
  bool operator==(const Traces&) const = default;
};
// One line for each thing in which they differ; none: nothing tells them apart.
std::string differences(const Traces& traces, const Traces& undisturbed);

// A process that took part, or was about to.
struct Participant {
  Uuid uuid;
  int number = -1;  // the launcher's
};

class FaultedRun {
 public:
  // Writes the recipe and its data into a folder of the run's own.
  FaultedRun();

  // `at`: CONVOY_AT. `launch`: further options of `convoy launch`. `overrides`: of the recipe.
  void start(const Company& company, const std::string& at = "", const std::vector<std::string>& launch = {},
             const std::vector<std::string>& overrides = {});
  // Goes on with a run that was stopped.
  void resume(const Company& company);
  // From now on whoever of the run is found stopped goes on after so long.
  void continue_stopped(std::chrono::milliseconds after);
  // How it ended; nothing: it still runs. Notes meanwhile what it holds, so that what is left of it is found.
  std::optional<ExitStatus> wait_end(std::chrono::milliseconds limit);

  testing_support::LaunchedRun& processes() { return processes_; }
  std::filesystem::path folder() const { return processes_.folder() / "out"; }

  Traces traces() const;
  // In the order in which they joined.
  std::vector<Participant> participants() const;
  // Members of each epoch, those of the first one first.
  std::vector<scheduler::EpochRecord> epochs() const;
  int count_events(const std::string& kind) const;
  std::int64_t steps_recorded() const;
  // Whatever stands in the run's folder, in /dev/shm or in the table of processes and should not; empty: nothing.
  std::string left_behind();
  // For a failed test: the end of what the run said, its events, and the last lines of its logs.
  std::string account() const;

 private:
  void launch(const Company& company, const std::string& at, const std::vector<std::string>& words);
  std::string last_checkpoint() const;  // its folder, in the run's

  testing_support::LaunchedRun processes_;
  std::set<std::string> before_;  // what was in /dev/shm
  std::jthread continuer_;        // last: it looks at the processes
};

// What a run leaves to whom nothing happens, two workers of it. Throws Error(kInternal) if something does.
Traces train_undisturbed(const std::vector<std::string>& overrides = {});
// The same without overrides, trained once.
const Traces& undisturbed();

// How long the undisturbed run is, and when it evaluates and writes a checkpoint.
inline constexpr int kSteps = 40;
inline constexpr int kEvery = 10;

// Lines of a JSON file; whole ones only, since the run may be writing the next.
std::vector<std::string> lines_of(const std::filesystem::path& file);

}  // namespace convoy::chaos
