// How a program ends: with an exit code, and one line where something went wrong.
#pragma once

#include <functional>

#include "launcher/output.h"

namespace convoy::library {

// The exit code of `body`: what it returns, 2 for an Error(kUsage), 1 for any other exception, whose message goes to
// the error output.
int report_errors(launcher::Output& output, const std::function<int()>& body);

}  // namespace convoy::library
