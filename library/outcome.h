// What a program says when something goes wrong, in one line, and the exit code that it ends with.
#pragma once

#include <functional>
#include <string>

#include "launcher/output.h"

namespace convoy::library {

// The exit code of `body`: what it returns, 2 for an Error(kUsage), 1 for any other exception, whose message goes to
// the error output.
int report_errors(launcher::Output& output, const std::function<int()>& body);

// Tells the user of what is wrong and does not end the program.
std::function<void(const std::string&)> warn_on(launcher::Output& output);

}  // namespace convoy::library
