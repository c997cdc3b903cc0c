// What children inherit of a launcher's environment.
#pragma once

#include <string>
#include <vector>

namespace convoy::launcher {

// `environment` ("NAME=value") without the variables by which a launcher speaks to its children: an outer launcher's
// are not theirs.
std::vector<std::string> child_environment(const std::vector<std::string>& environment);

}  // namespace convoy::launcher
