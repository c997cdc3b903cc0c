#include "library/run_eval.h"

#include "core/base/error.h"
#include "library/outcome.h"
#include "library/prepared_run.h"
#include "worker/commands.h"

namespace convoy::library {

int run_eval(const launcher::EvalLine& line, const worker::Workload& workload, launcher::Output& output) {
  if (asked_to_prepare()) {
    fail(ErrorCode::kUsage, "convoy launch: an evaluation is one process: {} eval {} by itself",
         workload.program.command(), line.source);
  }
  const worker::CheckpointEvaluation result = worker::evaluate_checkpoint(
      {.source = line.source, .overrides = line.overrides, .workload = workload, .warn = warn_on(output)});
  output.line(launcher::Stream::kOutput, line.json ? worker::to_json(result) : worker::to_text(result));
  return 0;
}

}  // namespace convoy::library
