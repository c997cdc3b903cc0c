// What happens once, before the processes of a run are started: whatever can be said to be wrong is said, the run gets
// its directory, and it is known which scheduler it needs. `convoy launch -- train` does this itself; for a program
// built on the library it asks the program, which answers through a pipe.
#pragma once

#include <optional>
#include <string>

#include "cluster/place.h"
#include "core/base/recipe.h"
#include "launcher/command_line.h"
#include "launcher/output.h"
#include "worker/workload.h"

namespace convoy::library {

// What the user knows the run by: the recipe's path, or the program's name.
std::string name_of(const launcher::TrainLine& line, const worker::Workload& workload);
// Where the run leaves its files, as far as the user or a launcher said. Throws Error(kUsage) where both did and
// differ.
std::optional<std::string> run_directory_of(const launcher::TrainLine& line);

// Says what is wrong with what the line asks to see and with the data and the model, and shows what --dry-run and
// --print-graph ask for. True: that was all, nothing is to be trained. Throws Error(kUsage), and Error(kUnavailable)
// where a worker's memory, with so many of them on this machine, does not suffice.
bool shown_instead_of_trained(const launcher::TrainLine& line, const Recipe& recipe, const worker::Workload& workload,
                              int workers, int local_workers, launcher::Output& output);

// Reads the recipe, opens the data, builds the model and makes or takes up the run's directory (library/run_plan.h);
// `place` as a worker will find it. Nothing: the run in the directory is done, as `output` has been told. Throws
// Error(kUsage).
std::optional<launcher::SchedulerLine> prepare_run(const launcher::TrainLine& line, const worker::Workload& workload,
                                                   int workers, const cluster::Place& place, launcher::Output& output);
// The place of a worker that `convoy launch` starts, as far as it is the same for all.
cluster::Place launched_place();

// Whether `convoy launch` started this process to have a run prepared, not to work in it.
bool asked_to_prepare();
// Does so. Returns the exit code.
int answer_launcher(const launcher::TrainLine& line, const worker::Workload& workload, launcher::Output& output);

}  // namespace convoy::library
