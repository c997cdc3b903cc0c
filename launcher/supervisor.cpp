#include "launcher/supervisor.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "launcher/child_environment.h"
#include "launcher/supervision.h"

namespace convoy::launcher {

Supervisor::Supervisor(const LaunchOptions& options, Output& output)
    : options_(options),
      output_(output),
      signals_(kStopSignals),
      environment_(child_environment(options.environment)),
      progress_(output),
      workers_({.program = options.worker_program.empty() ? options.program : options.worker_program,
                .arguments = options.worker_arguments,
                .environment = environment_,
                .run_directory = options.run_directory,
                .count = options.workers,
                .join = options.join.has_value(),
                .open = options.open,
                .lifeline = lifeline_.inherited(),
                .restarts = options.worker_restarts},
               {.line = [this](const std::string& label, Stream stream,
                               std::string_view line) { show_line(label, stream, line); },
                .own = [this](const std::string& what) { say(what); }}) {
  if (!options.join) scheduler_.emplace(scheduler_options());
}

int Supervisor::run() {
  if (scheduler_) {
    scheduler_->start();
  } else {
    begin();
  }
  while (!ending_ || processes_running()) {
    wait();
    take_signals();
    if (scheduler_ && scheduler_->became_ready() && !ending_) meet_scheduler();
    forward_lines();
    receive();
    reap_scheduler();  // first: workers whose scheduler is gone end too, and are not the cause
    workers_.reap(Clock::now(), last_step_);
    if (const auto signal = workers_.take_signal()) heed_signal_to_child(*signal);
    workers_.start_due(Clock::now());
    tell_scheduler();
    keep_deadlines();
  }
  progress_.finish();
  output_.drain(std::chrono::seconds(1));
  return verdict_ == 1 && workers_.misused() && !judged_ ? 2 : verdict_;
}

void Supervisor::wait() {
  std::vector<pollfd> watched{{.fd = signals_.descriptor(), .events = POLLIN, .revents = 0}};
  if (link_) watched.push_back({.fd = link_->poll_descriptor(), .events = POLLIN, .revents = 0});
  // Whoever shows our lines is slow: let the children wait rather than keep ever more for them.
  const bool only_ends = output_.backed_up();
  if (scheduler_) scheduler_->watch(watched, only_ends);
  workers_.watch(watched, only_ends);
  if (const auto room = output_.waiting_for()) watched.push_back(*room);
  auto until = Clock::now() + std::chrono::seconds(1);
  for (const auto& at :
       {answer_by_.at, verdict_by_.at, workers_gone_by_.at, scheduler_gone_by_.at, back_by_.at, workers_.due(),
        may_connect() ? reconnect_at_.at : std::nullopt, scheduler_ && !ending_ ? scheduler_->due() : std::nullopt}) {
    if (at) until = std::min(until, *at);
  }
  const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
  poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
  output_.flush();
}

void Supervisor::take_signals() {
  while (const auto signal = signals_.take()) {
    // Terminals and batch systems often send the same wish twice within a moment.
    const bool first = stop_signal_ == 0;
    if (!first && Clock::now() - stop_signal_at_ < milliseconds(500)) continue;
    stop_signal_at_ = Clock::now();
    // What follows an announcement is no second wish.
    const bool insists = (hurried_ || ending_) && !announces_preemption(*signal);
    hurried_ = hurried_ || !announces_preemption(*signal);
    if (!insists && (!first || ending_)) continue;
    stop_signal_ = *signal;
    if (insists) {
      kill_everyone();
    } else if (!workers_.started()) {
      conclude(1, fmt::format("stopped by {} before the workers had started", signal_name(*signal)));
      end_everyone();
    } else {
      ask_to_stop(*signal);
    }
  }
}

void Supervisor::ask_to_stop(int signal) {
  say(fmt::format("{}: the workers finish their step, write a checkpoint and leave; once more ends them at once",
                  signal_name(signal)));
  wish(fmt::format("stopped by {}", signal_name(signal)));
  if (!link_) return;  // whoever is next will be asked
  link_->send({}, cluster::StopRequest{.reason = wish_});
  answer_by_.set(options_.limits.scheduler_answer);
}

// One of the children was asked to stop before it could answer that: it was meant for the run.
void Supervisor::heed_signal_to_child(int signal) {
  if (ending_ || !wish_.empty() || !is_stop_signal(signal)) return;
  stop_signal_ = signal;
  stop_signal_at_ = Clock::now();
  ask_to_stop(signal);
}

void Supervisor::forward_lines() {
  if (output_.backed_up()) return;
  if (scheduler_) scheduler_->forward();
  workers_.forward();
}

void Supervisor::keep_deadlines() {
  const auto now = Clock::now();
  if (scheduler_ && !ending_) keep_scheduler_started(now);
  if (scheduler_ && !ending_) end_silent_scheduler(now);
  if (may_connect() && reconnect_at_.passed()) connect();
  if (back_by_.passed() && !ending_) {
    conclude(1, lost_);
    end_workers();
  }
  if (answer_by_.passed() && !ending_) {
    conclude(1, fmt::format("{}; {} did not answer", wish_, scheduler_title()));
    end_everyone();
  }
  if (!ending_ && workers_.started() && !workers_.expected()) await_verdict();
  if (ending_ && !workers_.running()) scheduler_gone_by_.set(options_.limits.finish);
  if (workers_gone_by_.passed() && workers_.running()) {
    if (succeeded_) {
      say(still_running());
    } else if (!terminated_) {
      complain(still_running());
    }
    workers_.cease(true);
    workers_.kill();
  }
  if (scheduler_gone_by_.passed() && scheduler_ && scheduler_->running()) {
    if (!terminated_) complain(scheduler_title() + " did not end and was killed");
    scheduler_->process().kill_group();
  }
}

// The run is to end after the step under way: that holds for a scheduler that has not heard of it too. Whoever asked
// may kill everybody before long, so that the next one is not waited for.
void Supervisor::wish(const std::string& reason) {
  if (wish_.empty()) wish_ = reason;
  if (scheduler_) scheduler_->hurry(Clock::now());
  workers_.cease(false);
}

// One line of a child. What several workers, or a worker and the verdict, give as the reason is said once.
void Supervisor::show_line(const std::string& label, Stream stream, std::string_view line) {
  if (stream == Stream::kErrors && line.starts_with("convoy: ") && !said_.emplace(line).second) return;
  output_.line(stream, fmt::format("[{}] {}", label, line));
}

int launch(const LaunchOptions& options, Output& output) { return Supervisor(options, output).run(); }

}  // namespace convoy::launcher
