// The error of a step that cannot be captured as a graph.
#pragma once

#include <source_location>
#include <string>

namespace convoy {

// Throws Error(kInvalidArgument): `where` in the user's code, if it is known, then `what`, then the way out.
[[noreturn]] void not_capturable(std::source_location where, const std::string& what);

}  // namespace convoy
