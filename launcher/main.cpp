// The program: reads the command line, puts the rooms together, and turns errors into one line and an exit code.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/recipe.h"
#include "core/base/signals.h"
#include "distributed/local/segment.h"
#include "launcher/command_line.h"
#include "launcher/output.h"
#include "launcher/run_lock.h"
#include "launcher/scheduler_file.h"
#include "launcher/supervisor.h"
#include "library/environment.h"
#include "library/run_plan.h"
#include "library/run_signals.h"
#include "library/run_worker.h"
#include "library/scheduler_setup.h"
#include "scheduler/scheduler.h"
#include "worker/commands.h"

extern char** environ;

namespace convoy {
namespace {

using launcher::EvalLine;
using launcher::GenerateLine;
using launcher::LaunchLine;
using launcher::Output;
using launcher::PrintLine;
using launcher::SchedulerLine;
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

int run(const LaunchLine& line, Output& output, Clock::time_point) {
  library::ignore_broken_pipes();
  library::RunSignals signals(false);
  if (line.workers > distributed::kMaxLocalRanks) {
    fail(ErrorCode::kUsage, "-n {}: expected at most {} workers on one machine", line.workers,
         distributed::kMaxLocalRanks);
  }
  const Recipe recipe = library::recipe_of(line.train);
  if (line.workers > recipe.train.logical_shards) {
    fail(ErrorCode::kUsage, "-n {}: expected at most one worker a logical shard, of which there are {} ({})",
         line.workers, recipe.train.logical_shards, recipe.where("train.logical_shards"));
  }
  worker::preflight(recipe, {});
  const library::RunPlan plan = library::plan_run(line.train, recipe);
  for (const std::string& note : plan.notes) output.line(Stream::kOutput, "convoy: " + note);
  if (plan.finished) return 0;
  output.line(Stream::kOutput, fmt::format("convoy: {} with {} {}; records in {}", line.train.recipe, line.workers,
                                           line.workers == 1 ? "worker" : "workers", plan.run_directory));
  launcher::LaunchOptions options;
  options.program = kProgram;
  options.workers = line.workers;
  options.scheduler_arguments = launcher::to_arguments(library::scheduler_line(plan, line.workers));
  options.worker_arguments = {line.train.resume ? "resume" : "train",
                              line.train.resume ? plan.run_directory : line.train.recipe,
                              "--run=" + plan.run_directory};
  options.worker_arguments.insert(options.worker_arguments.end(), line.train.overrides.begin(),
                                  line.train.overrides.end());
  for (char** entry = environ; *entry != nullptr; ++entry) options.environment.emplace_back(*entry);
  signals.take();  // still blocked here, so that none is missed before the launcher collects them
  return launcher::launch(options, output);
}

// Tells the launcher, which made the token itself.
void hand_over(const cluster::Credentials& credentials, int pipe) {
  const std::string address = credentials.address + '\n' + credentials.public_key + '\n';
  if (write(pipe, address.data(), address.size()) != static_cast<ssize_t>(address.size())) {
    fail(ErrorCode::kUnavailable, "cannot hand the scheduler's address to the launcher: {}", errno_text(errno));
  }
  close(pipe);
}

int run(const SchedulerLine& line, Output& output, Clock::time_point) {
  library::ignore_broken_pipes();
  library::watch_launcher();
  SignalReceiver signals(kStopSignals);
  const auto address_pipe = library::inherited_descriptor(cluster::kAddressDescriptorVariable);
  const auto token = library::environment(cluster::kTokenVariable);
  if (address_pipe && !token) {
    fail(ErrorCode::kUsage, "{} is set but {} is not: `convoy launch` sets both", cluster::kAddressDescriptorVariable,
         cluster::kTokenVariable);
  }
  Logger logger;
  library::log_to_file(logger, line.run);
  const launcher::RunLock lock(line.run);
  scheduler::Scheduler scheduler(library::scheduler_options(line, address_pipe ? *token : cluster::make_token()),
                                 logger);
  // The launcher decides when a run stops; a signal of its own is a wish like the user's.
  const SignalWatcher watcher(signals, [&](int signal) {
    scheduler.request_stop(fmt::format("the scheduler was stopped by {}", signal_name(signal)));
  });
  if (address_pipe) {
    hand_over(scheduler.credentials(), *address_pipe);
    return scheduler.run();
  }
  const launcher::SchedulerFile file(line.run, scheduler.credentials());
  output.line(Stream::kOutput,
              fmt::format("convoy: scheduler of {} {} at {}; address, key and token are in {}", line.workers,
                          line.workers == 1 ? "worker" : "workers", scheduler.credentials().address, file.path()));
  const int code = scheduler.run();
  if (!scheduler.reason().empty()) output.line(Stream::kErrors, "convoy: " + scheduler.reason());
  return code;
}

std::function<void(const std::string&)> warn_on(Output& output) {
  return [&output](const std::string& text) { output.line(Stream::kErrors, "convoy: warning: " + text); };
}

int run(const EvalLine& line, Output& output, Clock::time_point) {
  const worker::CheckpointEvaluation result =
      worker::evaluate_checkpoint({.source = line.source, .overrides = line.overrides, .warn = warn_on(output)});
  output.line(Stream::kOutput, line.json ? worker::to_json(result) : worker::to_text(result));
  return 0;
}

int run(const GenerateLine& line, Output& output, Clock::time_point) {
  worker::generate({.source = line.source,
                    .prompt = line.prompt,
                    .tokens = line.tokens,
                    .temperature = line.temperature,
                    .seed = line.seed,
                    .warn = warn_on(output)},
                   std::cout);
  return 0;
}

int run_program(const std::vector<std::string>& arguments, Output& output, Clock::time_point started) {
  try {
    return std::visit([&](const auto& line) { return run(line, output, started); },
                      launcher::parse_command_line(arguments));
  } catch (const Error& error) {
    output.line(Stream::kErrors, fmt::format("convoy: {}", error.what()));
    return error.code() == ErrorCode::kUsage ? 2 : 1;
  } catch (const std::exception& error) {
    output.line(Stream::kErrors, fmt::format("convoy: internal error: {}", error.what()));
    return 1;
  }
}

}  // namespace
}  // namespace convoy

int main(int argc, char** argv) {
  const auto started = std::chrono::steady_clock::now();
  convoy::launcher::Output output(STDOUT_FILENO, STDERR_FILENO);
  const int code = convoy::run_program({argv + 1, argv + argc}, output, started);
  output.drain(std::chrono::seconds(1));
  return code;
}
