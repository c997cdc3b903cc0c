#include "library/run_scheduler.h"

#include <unistd.h>

#include <array>
#include <string>
#include <variant>

#include "cluster/link.h"
#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/signals.h"
#include "launcher/preparation.h"
#include "launcher/run_lock.h"
#include "launcher/scheduler_file.h"
#include "library/environment.h"
#include "library/instants.h"
#include "library/run_signals.h"
#include "library/scheduler_setup.h"
#include "scheduler/scheduler.h"
#include "worker/checkpoint_store.h"

namespace convoy::library {
namespace {

using launcher::Stream;

// Tells the launcher, which made the token itself.
void hand_over(const cluster::Credentials& credentials, int pipe) {
  const std::string address = credentials.address + '\n' + credentials.public_key + '\n';
  if (write(pipe, address.data(), address.size()) != static_cast<ssize_t>(address.size())) {
    fail(ErrorCode::kUnavailable, "cannot hand the scheduler's address to the launcher: {}", errno_text(errno));
  }
  close(pipe);
}

}  // namespace

int run_scheduler(const launcher::SchedulerLine& line, launcher::Output& output) {
  ignore_broken_pipes();
  watch_launcher();
  SignalReceiver signals(kStopSignals);
  const auto address_pipe = inherited_number(cluster::kAddressDescriptorVariable);
  const auto token = environment(cluster::kTokenVariable);
  if (address_pipe && !token) {
    fail(ErrorCode::kUsage, "{} is set but {} is not: a launcher sets both", cluster::kAddressDescriptorVariable,
         cluster::kTokenVariable);
  }
  Logger logger;
  log_to_file(logger, line.run);
  const launcher::RunLock lock(line.run);
  scheduler::SchedulerOptions options = scheduler_options(line, address_pipe ? *token : cluster::make_token());
  options.at_instant = instants_of(line.restarted ? "scheduler+" : "scheduler", environment);
  if (const auto steps = worker::checkpoint_steps(line.run); line.restarted && !steps.empty())
    options.checkpoint_step = steps.back();
  scheduler::Scheduler scheduler(std::move(options), logger);
  // The launcher decides when a run stops; a signal of its own is a wish like the user's.
  const SignalWatcher watcher(signals, [&](int signal) {
    scheduler.request_stop(fmt::format("the scheduler was stopped by {}", signal_name(signal)));
  });
  if (address_pipe) {
    hand_over(scheduler.credentials(), *address_pipe);
    return scheduler.run();
  }
  const auto& [address, public_key, secret] = scheduler.credentials();
  const launcher::SchedulerFile file(
      line.run, {.addresses = {address}, .public_key = public_key, .token = secret, .incarnation = ""});
  output.line(Stream::kOutput,
              fmt::format("convoy: scheduler of {} {} at {}; address, key and token are in {}", line.workers,
                          line.workers == 1 ? "worker" : "workers", scheduler.credentials().address, file.path()));
  const int code = scheduler.run();
  if (!scheduler.reason().empty()) output.line(Stream::kErrors, "convoy: " + scheduler.reason());
  return code;
}

std::optional<launcher::SchedulerLine> told_to_schedule() {
  const auto pipe = inherited_number(cluster::kSchedulerWordsVariable);
  if (!pipe) return std::nullopt;
  std::string bytes;
  std::array<char, 4096> buffer;
  ssize_t got = 0;
  while ((got = read(*pipe, buffer.data(), buffer.size())) > 0)
    bytes.append(buffer.data(), static_cast<std::size_t>(got));
  close(*pipe);
  const launcher::CommandLine line = launcher::parse_command_line(launcher::decode_words(bytes));
  if (!std::holds_alternative<launcher::SchedulerLine>(line))
    fail(ErrorCode::kUsage, "{}={}: does not say which scheduler to be", cluster::kSchedulerWordsVariable, *pipe);
  return std::get<launcher::SchedulerLine>(line);
}

}  // namespace convoy::library
