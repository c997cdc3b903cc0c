#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <utility>
#include <variant>
#include <vector>

#include "launcher/command_line.h"
#include "launcher/output.h"
#include "library/convoy.h"
#include "library/outcome.h"
#include "library/prepared_run.h"
#include "library/run_audit.h"
#include "library/run_eval.h"
#include "library/run_export.h"
#include "library/run_scheduler.h"
#include "library/run_worker.h"
#include "worker/workload.h"

namespace convoy {
namespace {

worker::Workload workload_of(const Program& program, std::string name) {
  worker::Workload workload;
  workload.program = {.name = std::move(name),
                      .text = program.recipe,
                      .own_model = static_cast<bool>(program.make_model),
                      .own_data = static_cast<bool>(program.open_dataset)};
  if (program.open_dataset) workload.open_dataset = program.open_dataset;
  if (program.make_model) workload.make_model = program.make_model;
  return workload;
}

}  // namespace

int train(int argc, char** argv, const Program& program) {
  const auto started = std::chrono::steady_clock::now();
  launcher::Output output(STDOUT_FILENO, STDERR_FILENO);
  const int code = library::report_errors(output, [&] {
    if (const auto scheduler = library::told_to_schedule()) return library::run_scheduler(*scheduler, output);
    const std::string name = argc > 0 ? std::filesystem::path(argv[0]).filename().string() : "program";
    const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
    const launcher::CommandLine parsed = launcher::parse_program_line(name, words, !program.recipe.empty());
    if (const auto* print = std::get_if<launcher::PrintLine>(&parsed)) {
      output.line(launcher::Stream::kOutput, print->text.substr(0, print->text.find_last_not_of('\n') + 1));
      return 0;
    }
    const worker::Workload workload = workload_of(program, name);
    if (const auto* eval = std::get_if<launcher::EvalLine>(&parsed)) return library::run_eval(*eval, workload, output);
    if (const auto* audit = std::get_if<launcher::AuditLine>(&parsed))
      return library::run_audit(*audit, workload, output);
    if (const auto* line = std::get_if<launcher::ExportLine>(&parsed))
      return library::run_export(*line, workload, output);
    const auto& line = std::get<launcher::TrainLine>(parsed);
    if (library::asked_to_prepare()) return library::answer_launcher(line, workload, output);
    return library::run_worker(line, workload, output, started);
  });
  output.drain(std::chrono::seconds(1));
  return code;
}

}  // namespace convoy
