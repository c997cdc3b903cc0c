// The program: reads the command line and the environment, puts the rooms together, and turns errors into one line
// and an exit code.
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/recipe.h"
#include "core/base/signals.h"
#include "distributed/local/segment.h"
#include "launcher/command_line.h"
#include "launcher/lifeline.h"
#include "launcher/output.h"
#include "launcher/progress.h"
#include "launcher/run_directory.h"
#include "launcher/scheduler_file.h"
#include "launcher/supervisor.h"
#include "scheduler/scheduler.h"
#include "worker/commands.h"

extern char** environ;

namespace convoy {
namespace {

using launcher::GenerateLine;
using launcher::LaunchLine;
using launcher::Output;
using launcher::PrintLine;
using launcher::SchedulerLine;
using launcher::Stream;
using launcher::TrainLine;
using Clock = std::chrono::steady_clock;

constexpr char kProgram[] = "/proc/self/exe";  // also when this file was replaced since

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

// The number of a descriptor that `convoy launch` left in `variable`.
std::optional<int> inherited_descriptor(const char* variable) {
  const auto text = environment(variable);
  if (!text) return std::nullopt;
  int fd = -1;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), fd);
  if (error != std::errc() || end != text->data() + text->size() || fd < 0) {
    fail(ErrorCode::kUsage, "{}='{}' is not the number of a descriptor", variable, *text);
  }
  return fd;
}

void watch_launcher() {
  if (const auto fd = inherited_descriptor(cluster::kLifelineVariable)) launcher::watch_lifeline(*fd);
}

// A reader of our output that goes away must not end a run: writing to it fails instead.
void ignore_broken_pipes() { std::signal(SIGPIPE, SIG_IGN); }

scheduler::SchedulerOptions scheduler_options(const SchedulerLine& line, std::string token) {
  scheduler::SchedulerOptions options;
  options.run_directory = line.run;
  options.listen = line.listen;
  options.token = std::move(token);
  options.world = line.workers;
  options.steps = line.steps;
  options.limits.suspect = line.suspect_s;
  options.limits.hang = line.hang_s;
  return options;
}

SchedulerLine scheduler_line(const Recipe& recipe, const std::string& run, int workers) {
  return {.run = run,
          .listen = "tcp://127.0.0.1:0",
          .workers = workers,
          .steps = recipe.train.steps,
          .suspect_s = recipe.fault.suspect_s,
          .hang_s = recipe.fault.hang_s};
}

// The scheduler's own log: the terminal belongs to the run.
void log_to_file(Logger& logger, const std::string& run) {
  std::filesystem::create_directories(run + "/logs");
  logger.add_file(run + "/logs/scheduler.log");
  logger.mute_terminal();
}

// Where the main thread cannot be waited for. The files of a run are whole at any moment.
[[noreturn]] void end_at_once(const std::string& reason) {
  const std::string line = "convoy: " + reason + "\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  _exit(1);
}

// Collects the signals that end a run. Until somebody takes them they end the process at once: reading the data and
// building the model take their time, and nothing is lost with them.
class RunSignals {
 public:
  // `quiet`: a worker's launcher says itself why it ends.
  explicit RunSignals(bool quiet)
      : receiver_({SIGINT, SIGTERM, SIGHUP}), watcher_(std::in_place, receiver_, [quiet](int signal) {
          if (quiet) _exit(1);
          end_at_once(fmt::format("stopped by {} before the run began", signal_name(signal)));
        }) {}

  SignalReceiver& take() {
    watcher_.reset();
    return receiver_;
  }

 private:
  SignalReceiver receiver_;
  std::optional<SignalWatcher> watcher_;
};

// The scheduler of a run of one, in a thread.
class InnerScheduler {
 public:
  InnerScheduler(const Recipe& recipe, const std::string& run, Output& output)
      : progress_(output), scheduler_(options(recipe, run, output), logger_) {
    log_to_file(logger_, run);
    thread_ = std::thread([this] { serve(); });
  }
  ~InnerScheduler() {
    if (!thread_.joinable()) return;
    joining_ = true;
    scheduler_.request_stop("the worker failed");
    thread_.join();
    progress_.finish();
  }

  const cluster::Credentials& credentials() const { return scheduler_.credentials(); }
  // Waits until the run has ended; its exit code.
  int join() {
    joining_ = true;
    thread_.join();
    progress_.finish();
    if (failure_) std::rethrow_exception(failure_);
    return exit_code_;
  }
  const std::string& reason() const { return scheduler_.reason(); }

 private:
  scheduler::SchedulerOptions options(const Recipe& recipe, const std::string& run, Output& output) {
    auto result = scheduler_options(scheduler_line(recipe, run, 1), cluster::make_token());
    result.on_progress = [this](const cluster::Progress& progress) { progress_.update(progress, Clock::now()); };
    result.on_notice = [&output](const std::string& text) { output.line(Stream::kOutput, text); };
    return result;
  }
  void serve() {
    try {
      exit_code_ = scheduler_.run();
      // It gave the worker its grace: what has not left by now hangs, or is far from the end of its step.
      if (exit_code_ != 0 && !joining_.load()) {
        std::this_thread::sleep_for(std::chrono::seconds(1));
        if (!joining_.load()) end_at_once(scheduler_.reason());
      }
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  Logger logger_;
  launcher::ProgressDisplay progress_;
  scheduler::Scheduler scheduler_;
  std::thread thread_;
  std::atomic<bool> joining_{false};  // the worker is done
  int exit_code_ = 1;                 // this and failure_: written by the thread, read once it has ended
  std::exception_ptr failure_;
};

int run(const PrintLine& line, Output&, Clock::time_point) {
  std::cout << line.text;
  return 0;
}

int run(const TrainLine& line, Output& output, Clock::time_point started) {
  ignore_broken_pipes();
  watch_launcher();
  RunSignals signals(environment(cluster::kLifelineVariable).has_value());
  cluster::Place place = cluster::find_place(environment);
  const Recipe recipe = load_recipe(line.recipe, line.overrides);
  Logger logger;
  logger.redirect_terminal([&output](std::string_view text) { output.line(Stream::kErrors, text); });
  std::function<void()> on_second_signal;
  const auto train = [&](const std::string& run_directory) {
    const worker::TrainCommand command{.recipe = recipe,
                                       .run_directory = run_directory,
                                       .place = place,
                                       .environment = environment,
                                       .take_signals = [&]() -> SignalReceiver& { return signals.take(); },
                                       .started = started,
                                       .on_second_signal = on_second_signal};
    return worker::train(command, logger);
  };
  if (place.scheduler) {
    if (!line.run) fail(ErrorCode::kUsage, "convoy train: a worker of {} needs --run DIR", place.detected_by);
    return train(*line.run);
  }

  worker::preflight(recipe);
  const std::string run_directory = launcher::make_run_directory(line.run, line.recipe, std::time(nullptr));
  output.line(Stream::kOutput, fmt::format("convoy: {} with 1 worker; records in {}", line.recipe, run_directory));
  InnerScheduler scheduler(recipe, run_directory, output);
  place.scheduler = scheduler.credentials();
  on_second_signal = [] { end_at_once("stopped in the middle of a step"); };
  const int worker_code = train(run_directory);
  const int scheduler_code = scheduler.join();
  if (!scheduler.reason().empty()) output.line(Stream::kErrors, "convoy: " + scheduler.reason());
  return worker_code != 0 ? worker_code : scheduler_code;
}

int run(const LaunchLine& line, Output& output, Clock::time_point) {
  ignore_broken_pipes();
  RunSignals signals(false);
  if (line.workers > distributed::kMaxLocalRanks) {
    fail(ErrorCode::kUsage, "-n {}: expected at most {} workers on one machine", line.workers,
         distributed::kMaxLocalRanks);
  }
  const Recipe recipe = load_recipe(line.train.recipe, line.train.overrides);
  if (line.workers > recipe.train.logical_shards) {
    fail(ErrorCode::kUsage, "-n {}: expected at most one worker a logical shard, of which there are {} ({})",
         line.workers, recipe.train.logical_shards, recipe.where("train.logical_shards"));
  }
  worker::preflight(recipe);
  const std::string run_directory = launcher::make_run_directory(line.train.run, line.train.recipe, std::time(nullptr));
  output.line(Stream::kOutput, fmt::format("convoy: {} with {} {}; records in {}", line.train.recipe, line.workers,
                                           line.workers == 1 ? "worker" : "workers", run_directory));
  launcher::LaunchOptions options;
  options.program = kProgram;
  options.workers = line.workers;
  options.scheduler_arguments = launcher::to_arguments(scheduler_line(recipe, run_directory, line.workers));
  options.worker_arguments = {"train", line.train.recipe, "--run=" + run_directory};
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
  ignore_broken_pipes();
  watch_launcher();
  SignalReceiver signals({SIGINT, SIGTERM, SIGHUP});
  const auto address_pipe = inherited_descriptor(cluster::kAddressDescriptorVariable);
  const auto token = environment(cluster::kTokenVariable);
  if (address_pipe && !token) {
    fail(ErrorCode::kUsage, "{} is set but {} is not: `convoy launch` sets both", cluster::kAddressDescriptorVariable,
         cluster::kTokenVariable);
  }
  Logger logger;
  log_to_file(logger, line.run);
  scheduler::Scheduler scheduler(scheduler_options(line, address_pipe ? *token : cluster::make_token()), logger);
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

int run(const GenerateLine& line, Output&, Clock::time_point) {
  worker::generate({.source = line.source,
                    .prompt = line.prompt,
                    .tokens = line.tokens,
                    .temperature = line.temperature,
                    .seed = line.seed},
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
