// What a program says when something goes wrong, in one line, and the exit code that it ends with.
#pragma once

#include <exception>
#include <functional>
#include <string>

#include "core/base/error.h"
#include "launcher/output.h"

namespace convoy::library {

// `error` in Convoy's own form: an operation on files that the system refused is Error(kUnavailable), what nobody
// foresaw Error(kInternal).
Error as_error(const std::exception& error);
int exit_code_of(const Error& error);  // 2 for kUsage, otherwise 1

// The exit code of `body`: what it returns, or that of what it throws, which goes to the error output.
int report_errors(launcher::Output& output, const std::function<int()>& body);

// Tells the user of what is wrong and does not end the program.
std::function<void(const std::string&)> warn_on(launcher::Output& output);

}  // namespace convoy::library
