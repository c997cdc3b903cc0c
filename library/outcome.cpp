#include "library/outcome.h"

#include <filesystem>

namespace convoy::library {

Error as_error(const std::exception& error) {
  if (const auto* own = dynamic_cast<const Error*>(&error)) return *own;
  if (dynamic_cast<const std::filesystem::filesystem_error*>(&error) != nullptr)
    return Error(ErrorCode::kUnavailable, error.what());  // says the operation, the paths and the system's reason
  return Error(ErrorCode::kInternal, fmt::format("internal error: {}", error.what()));
}

int exit_code_of(const Error& error) { return error.code() == ErrorCode::kUsage ? 2 : 1; }

int report_errors(launcher::Output& output, const std::function<int()>& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    const Error known = as_error(error);
    output.line(launcher::Stream::kErrors, fmt::format("convoy: {}", known.what()));
    return exit_code_of(known);
  }
}

std::function<void(const std::string&)> warn_on(launcher::Output& output) {
  return [&output](const std::string& text) { output.line(launcher::Stream::kErrors, "convoy: warning: " + text); };
}

}  // namespace convoy::library
