// The environment of the process: the one place that reads it. Everybody else is handed what it holds.
#pragma once

#include <optional>
#include <string>

namespace convoy::library {

// A cluster::Environment.
std::optional<std::string> environment(const std::string& name);

// The number, for instance of a descriptor, that `convoy launch` left in `variable`. Throws Error(kUsage) for what is
// none.
std::optional<int> inherited_number(const char* variable);

// Ends this process when the launcher that started it, if one did, is gone.
void watch_launcher();

}  // namespace convoy::library
