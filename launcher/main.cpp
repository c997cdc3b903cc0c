// The program: reads the command line and puts the rooms together.
#include <unistd.h>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

#include "cluster/address.h"
#include "cluster/reserved_port.h"
#include "core/base/error.h"
#include "distributed/local/segment.h"
#include "launcher/command_line.h"
#include "launcher/join.h"
#include "launcher/output.h"
#include "launcher/preparation.h"
#include "launcher/supervisor.h"
#include "library/environment.h"
#include "library/outcome.h"
#include "library/prepared_run.h"
#include "library/run_audit.h"
#include "library/run_eval.h"
#include "library/run_export.h"
#include "library/run_plan.h"
#include "library/run_scheduler.h"
#include "library/run_signals.h"
#include "library/run_status.h"
#include "library/run_worker.h"
#include "worker/commands.h"

extern char** environ;

namespace convoy {
namespace {

using launcher::AuditLine;
using launcher::EvalLine;
using launcher::ExportLine;
using launcher::GenerateLine;
using launcher::LaunchLine;
using launcher::Output;
using launcher::PrintLine;
using launcher::ProgramLine;
using launcher::SchedulerLine;
using launcher::StatusLine;
using launcher::Stream;
using launcher::TrainLine;
using Clock = std::chrono::steady_clock;

constexpr char kProgram[] = "/proc/self/exe";  // also when this file was replaced since

int run(const PrintLine& line, Output&, Clock::time_point) {
  std::cout << line.text;
  return 0;
}

int run(const TrainLine& line, Output& output, Clock::time_point started) {
  return library::run_worker(line, {}, output, started);
}

// What `convoy launch` starts, once it is known that it can be.
struct Launched {
  std::string name{};     // for the user
  int exit_code = 0;      // not 0: it cannot, and the user knows why
  bool finished = false;  // there is nothing left to do
  SchedulerLine scheduler{};
  std::string worker_program{};
  std::vector<std::string> worker_arguments{};
};

std::vector<std::string> worker_arguments(const TrainLine& line) {
  std::vector<std::string> arguments{line.resume ? "resume" : "train", line.resume ? *line.run : line.recipe};
  const std::vector<std::string> inspection = launcher::to_arguments(line.inspection);
  arguments.insert(arguments.end(), inspection.begin(), inspection.end());
  arguments.insert(arguments.end(), line.overrides.begin(), line.overrides.end());
  return arguments;
}

// Before anything is made for the run.
void check_listen(const std::string& listen) {
  try {
    const cluster::ReservedPort there(listen);
  } catch (const Error& error) {
    fail(ErrorCode::kUsage, "convoy launch: --listen: {}: expected an address of this host", error.what());
  }
}

bool is_open(const LaunchLine& line) { return !line.listen.empty() && !cluster::is_loopback(line.listen); }

Launched prepare_train(const LaunchLine& launch, Output& output) {
  const TrainLine& line = launch.train;
  Launched result{.name = line.recipe, .worker_program = kProgram, .worker_arguments = worker_arguments(line)};
  cluster::Place place = library::launched_place();
  place.open = is_open(launch);
  const auto scheduler = library::prepare_run(line, {}, launch.workers, place, output);
  result.finished = !scheduler;
  if (scheduler) result.scheduler = *scheduler;
  return result;
}

std::string path_of(const ProgramLine& program) {
  return launcher::find_program(program.program, library::environment("PATH").value_or(""));
}

Launched prepare(const LaunchLine& line, const std::vector<std::string>& environment, Output& output) {
  if (!line.program) return prepare_train(line, output);
  const std::string program = path_of(*line.program);
  const launcher::Preparation preparation = launcher::prepare_program({.program = program,
                                                                       .arguments = line.program->arguments,
                                                                       .environment = environment,
                                                                       .workers = line.workers,
                                                                       .run_directory = line.run},
                                                                      output);
  Launched result{.name = line.program->program,
                  .exit_code = preparation.exit_code,
                  .worker_program = program,
                  .worker_arguments = line.program->arguments};
  result.finished = preparation.scheduler_arguments == launcher::kFinishedAnswer;
  if (result.exit_code == 0 && !result.finished) {
    const launcher::CommandLine answer = launcher::parse_command_line(preparation.scheduler_arguments);
    if (!std::holds_alternative<SchedulerLine>(answer))
      fail(ErrorCode::kUsage, "{}: answered what no program of this Convoy's library does", program);
    result.scheduler = std::get<SchedulerLine>(answer);
  }
  return result;
}

// Workers for a run that others have prepared: it has its directory and its scheduler, which compares the recipes.
Launched prepare_join(const LaunchLine& line, Output& output) {
  if (line.program) {
    return {.name = line.program->program,
            .worker_program = path_of(*line.program),
            .worker_arguments = line.program->arguments};
  }
  Launched result{
      .name = line.train.recipe, .worker_program = kProgram, .worker_arguments = worker_arguments(line.train)};
  const Recipe recipe = library::recipe_of(line.train);
  result.finished = library::shown_instead_of_trained(line.train, recipe, {}, line.workers, line.workers, output);
  return result;
}

int run(const LaunchLine& line, Output& output, Clock::time_point) {
  library::ignore_broken_pipes();
  library::RunSignals signals(library::RunSignals::Early::kSaysSo);
  if (line.workers > distributed::kMaxLocalRanks) {
    fail(ErrorCode::kUsage, "-n {}: expected at most {} workers on one machine", line.workers,
         distributed::kMaxLocalRanks);
  }
  launcher::LaunchOptions options;
  for (char** entry = environ; *entry != nullptr; ++entry) options.environment.emplace_back(*entry);
  Launched launched;
  std::string run_directory;
  if (line.join) {
    const launcher::RunUnderWay joined =
        launcher::find_run(*line.join, line.program ? line.run : line.train.run, library::environment);
    options.join = joined.scheduler;
    options.open = joined.open;
    run_directory = joined.run_directory;
    launched = prepare_join(line, output);
  } else {
    if (!line.listen.empty()) check_listen(line.listen);
    launched = prepare(line, options.environment, output);
    launched.scheduler.min_workers = line.min_workers;
    if (!line.http.empty()) launched.scheduler.http = line.http;
    if (!line.listen.empty()) launched.scheduler.listen = line.listen;
    options.open = is_open(line);
    run_directory = launched.scheduler.run;
  }
  if (launched.exit_code != 0 || launched.finished) return launched.exit_code;
  const char* const workers = line.workers == 1 ? "worker" : "workers";
  output.line(Stream::kOutput, options.join ? fmt::format("convoy: {} {} of {} join the run in {}", line.workers,
                                                          workers, launched.name, run_directory)
                                            : fmt::format("convoy: {} with {} {}; records in {}", launched.name,
                                                          line.workers, workers, run_directory));
  options.program = kProgram;
  options.workers = line.workers;
  if (!options.join) options.listen = launched.scheduler.listen;
  options.scheduler_arguments = [told = launched.scheduler](const launcher::SchedulerStart& start) {
    SchedulerLine now = told;
    now.listen = start.listen;
    now.restarted = start.restarted;
    return launcher::to_arguments(now);
  };
  options.worker_program = launched.worker_program;
  options.worker_arguments = launched.worker_arguments;
  options.worker_restarts.most = line.max_restarts;
  options.scheduler_restarts.most = line.max_restarts;
  options.run_directory = run_directory;
  signals.take();  // still blocked here, so that none is missed before the launcher collects them
  return launcher::launch(options, output);
}

int run(const SchedulerLine& line, Output& output, Clock::time_point) { return library::run_scheduler(line, output); }

int run(const EvalLine& line, Output& output, Clock::time_point) { return library::run_eval(line, {}, output); }

int run(const AuditLine& line, Output& output, Clock::time_point) { return library::run_audit(line, {}, output); }

int run(const ExportLine& line, Output& output, Clock::time_point) { return library::run_export(line, {}, output); }

int run(const StatusLine& line, Output&, Clock::time_point) { return library::run_status(line, std::cout); }

int run(const GenerateLine& line, Output& output, Clock::time_point) {
  worker::generate({.source = line.source,
                    .prompt = line.prompt,
                    .tokens = line.tokens,
                    .temperature = line.temperature,
                    .seed = line.seed,
                    .warn = library::warn_on(output)},
                   std::cout);
  return 0;
}

}  // namespace
}  // namespace convoy

int main(int argc, char** argv) {
  const auto started = std::chrono::steady_clock::now();
  convoy::launcher::Output output(STDOUT_FILENO, STDERR_FILENO);
  const int code = convoy::library::report_errors(output, [&] {
    return std::visit([&](const auto& line) { return convoy::run(line, output, started); },
                      convoy::launcher::parse_command_line({argv + 1, argv + argc}));
  });
  output.drain(std::chrono::seconds(1));
  return code;
}
