// How a run begins: in a directory of its own, or going on with what its directory holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/recipe.h"
#include "launcher/command_line.h"
#include "worker/workload.h"

namespace convoy::library {

struct RunPlan {
  Recipe recipe;
  std::string run_directory;
  std::int64_t resume_step = 0;    // of the newest whole checkpoint; 0: from the beginning
  bool finished = false;           // there is nothing left to do
  std::vector<std::string> notes;  // for the terminal: what is gone on with, what was damaged, what is odd
};

// The recipe that the line asks for; `program` as for load_recipe(). Throws Error(kUsage).
Recipe recipe_of(const launcher::TrainLine& line, const ProgramRecipe& program = {});

// Makes the run directory, or looks at the run in it:
//   train  an empty directory, or one that holds an unfinished run of the same resolved recipe
//   resume one that holds a run; the recipe may differ where it does not change what was done
// Throws Error(kUsage) with one line that names what does not fit, Error(kDataLoss) where a run has checkpoints and
// none is whole. The scheduler's lock keeps others out from then on (launcher/run_lock.h). Call it once the recipe and
// the data are known to be right (worker::preflight).
// `told` is where the run leaves its files, if anybody said; `name` what its directory is named after otherwise.
RunPlan plan_run(const std::optional<std::string>& told, bool resume, Recipe recipe, const std::string& name,
                 const ProgramRecipe& program = {});

}  // namespace convoy::library
