// Where a run leaves what it writes.
#pragma once

#include <ctime>
#include <optional>
#include <string>

namespace convoy::launcher {

// Creates the run's folder and returns its path: `given` if the user named one, else runs/<recipe>-<time>, made new.
// Throws Error(kUsage) naming the path when it holds anything that is not a run (with its recipe.toml), is no folder or
// cannot be made.
std::string make_run_directory(const std::optional<std::string>& given, const std::string& recipe_path,
                               std::time_t now);

}  // namespace convoy::launcher
