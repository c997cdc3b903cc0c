// The environment of the process, and how it was started: the one place that reads them. Everybody else is handed what
// it holds.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace convoy::library {

// A cluster::Environment.
std::optional<std::string> environment(const std::string& name);

// The words that this process was started with, without the program's name, whatever main() has made of them.
std::vector<std::string> command_words();

// The number, for instance of a descriptor, that `convoy launch` left in `variable`. Throws Error(kUsage) for what is
// none.
std::optional<int> inherited_number(const char* variable);

// Ends this process when the launcher that started it, if one did, is gone.
void watch_launcher();

}  // namespace convoy::library
