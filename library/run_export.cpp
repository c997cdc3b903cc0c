#include "library/run_export.h"

#include "core/base/error.h"
#include "library/outcome.h"
#include "library/prepared_run.h"
#include "worker/commands.h"

namespace convoy::library {

int run_export(const launcher::ExportLine& line, const worker::Workload& workload, launcher::Output& output) {
  if (asked_to_prepare()) {
    fail(ErrorCode::kUsage, "convoy launch: an export is one process: {} export {} --onnx {} by itself",
         workload.program.command(), line.source, line.onnx);
  }
  const worker::CheckpointExport result = worker::export_checkpoint({.source = line.source,
                                                                     .path = line.onnx,
                                                                     .overrides = line.overrides,
                                                                     .workload = workload,
                                                                     .warn = warn_on(output)});
  output.line(launcher::Stream::kOutput, worker::to_text(result));
  return 0;
}

}  // namespace convoy::library
