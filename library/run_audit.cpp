#include "library/run_audit.h"

#include <algorithm>

#include "core/base/error.h"
#include "library/audit.h"
#include "library/prepared_run.h"

namespace convoy::library {
namespace {

constexpr std::ptrdiff_t kMostLines = 20;

}  // namespace

int run_audit(const launcher::AuditLine& line, const worker::Workload& workload, launcher::Output& output) {
  if (asked_to_prepare())
    fail(ErrorCode::kUsage, "convoy launch: an audit is one process: {} audit {} by itself", workload.program.command(),
         line.run);
  const RunAudit audit = audit_run(line.run, line.overrides, workload);
  output.line(launcher::Stream::kOutput, to_text(line.run, audit));
  const std::ptrdiff_t count = std::ssize(audit.wrong);
  for (std::ptrdiff_t i = 0; i < std::min(count, kMostLines); ++i)
    output.line(launcher::Stream::kErrors, "convoy: " + audit.wrong[static_cast<std::size_t>(i)]);
  if (count > kMostLines)
    output.line(launcher::Stream::kErrors, fmt::format("convoy: and {} lines more like these", count - kMostLines));
  return count == 0 ? 0 : 1;
}

}  // namespace convoy::library
