#include "library/outcome.h"

#include <exception>

#include "core/base/error.h"

namespace convoy::library {

int report_errors(launcher::Output& output, const std::function<int()>& body) {
  try {
    return body();
  } catch (const Error& error) {
    output.line(launcher::Stream::kErrors, fmt::format("convoy: {}", error.what()));
    return error.code() == ErrorCode::kUsage ? 2 : 1;
  } catch (const std::exception& error) {
    output.line(launcher::Stream::kErrors, fmt::format("convoy: internal error: {}", error.what()));
    return 1;
  }
}

std::function<void(const std::string&)> warn_on(launcher::Output& output) {
  return [&output](const std::string& text) { output.line(launcher::Stream::kErrors, "convoy: warning: " + text); };
}

}  // namespace convoy::library
