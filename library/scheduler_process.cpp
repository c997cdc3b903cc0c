#include "library/scheduler_process.h"

#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "cluster/address.h"
#include "cluster/messages.h"
#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/signals.h"
#include "launcher/child_environment.h"
#include "launcher/preparation.h"
#include "launcher/worker_processes.h"
#include "library/environment.h"
#include "library/run_signals.h"

namespace convoy::library {
namespace {

using launcher::Stream;
using std::chrono::milliseconds;

constexpr char kProgram[] = "/proc/self/exe";  // also when this file was replaced since
constexpr milliseconds kStart{20'000};         // from its start to its address
constexpr milliseconds kFinish{20'000};        // from the end of this worker to the end of the run
constexpr milliseconds kVerdict{1'000};        // from a failure here to its own account of it
constexpr milliseconds kReconnect{50};         // between two tries to reach a scheduler that lives

// A pipe that holds `bytes`, of which there are few, and gets no more.
launcher::Pipe pipe_with(const std::string& bytes) {
  launcher::Pipe pipe = launcher::make_pipe();
  if (write(pipe.write_end.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    fail(ErrorCode::kUnavailable, "cannot tell the scheduler what to be: {}", errno_text(errno));
  pipe.write_end.reset();
  return pipe;
}

using Command = launcher::SchedulerChildOptions::Command;

Command command(const SchedulerProcess::Options& options, const launcher::SchedulerStart& start) {
  launcher::SchedulerLine line = options.line;
  line.listen = start.listen;
  line.restarted = start.restarted;
  Command result{.spawn = {.program = kProgram,
                           .arguments = launcher::to_arguments(line),
                           .environment = launcher::child_environment(options.environment)}};
  if (options.program == SchedulerProcess::Program::kOwn) {
    result.kept = pipe_with(launcher::encode_words(result.spawn.arguments)).read_end;
    result.spawn.arguments = command_words();
    result.spawn.inherited.push_back(result.kept.get());
    result.spawn.environment.push_back(fmt::format("{}={}", cluster::kSchedulerWordsVariable, result.kept.get()));
  }
  return result;
}

}  // namespace

SchedulerProcess::SchedulerProcess(const Options& options, launcher::Output& output)
    : rank_(options.rank),
      output_(output),
      progress_(output),
      child_({.listen = options.line.listen,
              .token = options.token,
              .lifeline = lifeline_.inherited(),
              .command = [options](const launcher::SchedulerStart& start) { return command(options, start); },
              .take = [&output](Stream stream,
                                std::string_view text) { output.line(stream, fmt::format("[scheduler] {}", text)); },
              .start_limit = kStart}) {
  child_.start();
  wait_until_ready();
  connect();
  thread_ = std::thread([this] { serve(); });
}

void SchedulerProcess::wait_until_ready() {
  while (!child_.became_ready()) {
    std::vector<pollfd> watched;
    child_.watch(watched, false);
    poll(watched.data(), watched.size(), 100);
    child_.forward();
    const auto status = child_.try_reap();
    if (status) {
      fail(ErrorCode::kUnavailable, "the scheduler (pid {}) {} before it published its address", child_.pid(),
           describe_exit(*status));
    }
    if (child_.overdue(Clock::now())) {
      fail(ErrorCode::kUnavailable, "the scheduler (pid {}) did not publish its address within {} s", child_.pid(),
           std::chrono::duration_cast<std::chrono::seconds>(kStart).count());
    }
  }
}

void SchedulerProcess::connect() {
  asked_ = false;
  try {
    link_ = std::make_unique<cluster::Link>(child_.credentials(), self_);
  } catch (const Error&) {  // no descriptors are left, for now
    lost_at_ = Clock::now();
    return;
  }
  link_->send({}, cluster::RegisterAgent{.host = cluster::host_name(), .pid = getpid()});
  if (!wish_.empty()) link_->send({}, cluster::StopRequest{.reason = wish_});
}

SchedulerProcess::~SchedulerProcess() {
  if (!thread_.joinable()) return;
  failed_ = true;
  joining_ = true;
  if (!ended_within(kVerdict)) {
    stop_ = true;
    if (!ended_within(3 * kVerdict)) kill_ = true;
  }
  thread_.join();
  progress_.finish();
}

bool SchedulerProcess::ended_within(milliseconds limit) {
  for (const auto until = Clock::now() + limit; !ended_; std::this_thread::sleep_for(milliseconds(5))) {
    if (Clock::now() > until) return false;
  }
  return true;
}

int SchedulerProcess::join() {
  joining_ = true;
  if (!ended_within(kFinish)) kill_ = true;
  thread_.join();
  progress_.finish();
  return exit_code_;
}

// Starts whoever takes the child's place, too: the thread lives until there is none.
void SchedulerProcess::serve() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are for the program's own threads
  for (;;) {
    if (kill_ && child_.running()) child_.process().kill_group();
    std::vector<pollfd> watched;
    if (link_) watched.push_back({.fd = link_->poll_descriptor(), .events = POLLIN, .revents = 0});
    child_.watch(watched, output_.backed_up());
    poll(watched.data(), watched.size(), link_ ? 100 : 10);
    output_.flush();
    child_.forward();
    receive(milliseconds(0));
    if (const auto status = child_.try_reap()) {
      // What it said last may still be on its way.
      for (const auto until = Clock::now() + milliseconds(200); link_ && !judged_ && Clock::now() < until;)
        receive(milliseconds(20));
      link_.reset();
      if (has_spoken(*status)) return conclude(*status);
      replace(*status);
      // It was asked to stop before it could answer that: it was meant for the run.
      if (launcher::is_stop_signal(status->signal)) wish_ = "stopped by " + signal_name(status->signal);
      if (!child_.expected()) return conclude(*status);
    }
    if (child_.expected() && (kill_ || failed_)) return conclude({.exit_code = 1, .signal = 0});
    keep_started();
    if (!child_.running() && !child_.expected()) return conclude({.exit_code = 1, .signal = 0});
    if (link_ && stop_ && !std::exchange(asked_, true))
      link_->send({}, cluster::StopRequest{.reason = fmt::format("worker {} failed", rank_)});
  }
}

void SchedulerProcess::keep_started() {
  const auto now = Clock::now();
  if (const auto failure = child_.start_if_due(now)) output_.line(Stream::kErrors, "convoy: " + *failure);
  if (child_.overdue(now)) child_.process().kill_group();
  if (child_.became_ready() || (!link_ && child_.ready() && now - lost_at_ > kReconnect)) connect();
}

// Whether the run has ended with it; otherwise it died.
bool SchedulerProcess::has_spoken(const ExitStatus& status) const {
  return judged_ || kill_ || failed_ || status.success() ||
         (status.signal == 0 && (status.exit_code == 2 || status.exit_code == kExitStopped));
}

void SchedulerProcess::replace(const ExitStatus& status) {
  const auto wait = child_.replace(Clock::now());
  if (!wait) return;
  output_.line(
      Stream::kErrors,
      fmt::format(
          "convoy: the scheduler (pid {}) {} after step {}; a new one takes its place{}", child_.pid(),
          describe_exit(status), last_step_,
          *wait == milliseconds(0) ? "" : fmt::format(" in {:g} s", std::chrono::duration<double>(*wait).count())));
}

void SchedulerProcess::receive(milliseconds timeout) {
  if (!link_) return;
  try {
    while (const auto message = link_->receive(timeout)) {
      if (const auto* progress = std::get_if<cluster::Progress>(&message->body)) {
        last_step_ = progress->step;
        progress_.update(*progress, Clock::now());
      } else if (const auto* notice = std::get_if<cluster::Notice>(&message->body)) {
        output_.line(Stream::kOutput, notice->text);
      } else if (const auto* stop = std::get_if<cluster::Stop>(&message->body)) {
        judged_ = true;
        reason_ = stop->reason;
      }
    }
  } catch (const Error&) {  // most often the process has ended, which says more
    link_.reset();
    lost_at_ = Clock::now();
  }
}

void SchedulerProcess::conclude(const ExitStatus& status) {
  exit_code_ = status.signal != 0 ? 1 : status.exit_code;
  if (kill_) {
    reason_ = fmt::format("the scheduler (pid {}) did not end and was killed", child_.pid());
  } else if (!status.success() && reason_.empty()) {
    reason_ = fmt::format("the scheduler (pid {}) {} after step {}", child_.pid(), describe_exit(status), last_step_);
  }
  // The scheduler gave the worker its grace: what has not left by now hangs, or is far from the end of its step.
  if (exit_code_ != 0 && !joining_) {
    for (const auto until = Clock::now() + std::chrono::seconds(1); !joining_ && Clock::now() < until;)
      std::this_thread::sleep_for(milliseconds(5));
    if (!joining_) end_at_once(reason_);
  }
  ended_ = true;
}

}  // namespace convoy::library
