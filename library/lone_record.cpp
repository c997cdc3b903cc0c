#include "library/lone_record.h"

#include <chrono>
#include <variant>

#include "launcher/run_lock.h"
#include "scheduler/records.h"

namespace convoy::library {

void record_reports(const std::string& run_directory, const std::vector<cluster::Body>& reports) {
  if (reports.empty()) return;
  const launcher::RunLock lock(run_directory);
  scheduler::Records records(run_directory, 0, /*restarted=*/true);
  const double time_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  Ballot ballot;
  for (const cluster::Body& report : reports) {
    if (const auto* step = std::get_if<cluster::StepReport>(&report)) {
      ballot = step->ballot;
      records.step(*step, ballot);
    } else if (const auto* evaluation = std::get_if<cluster::EvalReport>(&report);
               evaluation != nullptr && records.evaluation(evaluation->step)) {
      records.event(scheduler::evaluation_event(*evaluation, ballot), time_s);
    }
  }
}

}  // namespace convoy::library
