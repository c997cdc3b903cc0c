// The scheduler, and the link to it.
#include <unistd.h>

#include <optional>
#include <utility>
#include <variant>

#include "cluster/address.h"
#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "launcher/supervision.h"

namespace convoy::launcher {

namespace {

constexpr std::chrono::milliseconds kReconnect{50};  // between two tries to reach a scheduler that lives

double in_seconds(std::chrono::milliseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

SchedulerChildOptions Supervisor::scheduler_options() {
  return {.listen = options_.listen,
          .lifeline = lifeline_.inherited(),
          .command = [this](const SchedulerStart& start) -> SchedulerChildOptions::Command {
            return {.spawn = {.program = options_.program,
                              .arguments = options_.scheduler_arguments(start),
                              .environment = environment_}};
          },
          .take = [this](Stream stream, std::string_view line) { show_line("scheduler", stream, line); },
          .start_limit = options_.limits.scheduler_start,
          .restarts = options_.scheduler_restarts};
}

std::string Supervisor::scheduler_title() const {
  return scheduler_ ? fmt::format("the scheduler (pid {})", scheduler_->pid())
                    : fmt::format("the scheduler at {}", credentials().address);
}

void Supervisor::meet_scheduler() {
  if (workers_.started()) {
    connect();
  } else {
    begin();
  }
}

void Supervisor::begin() {
  if (scheduler_ && !options_.run_directory.empty()) file_.emplace(options_.run_directory, whereabouts());
  connect();
  workers_.start(credentials());
}

// On other hosts nobody answers at this one's loopback, or somebody who does not know the run's token.
Whereabouts Supervisor::whereabouts() const {
  Whereabouts result{
      .addresses = {}, .public_key = credentials().public_key, .token = credentials().token, .incarnation = ""};
  if (const auto where = cluster::split_address(options_.listen); where.host == "0.0.0.0") {
    const auto port = cluster::split_address(credentials().address).port;
    for (const std::string& address : cluster::own_addresses())
      result.addresses.push_back(fmt::format("tcp://{}:{}", address, port));
  }
  result.addresses.push_back(credentials().address);
  return result;
}

// A scheduler knows nothing of this node but what it is told over this very link.
void Supervisor::connect() {
  reconnect_at_.at.reset();
  try {
    link_ = std::make_unique<cluster::Link>(credentials(), self_);
  } catch (const Error& error) {  // no descriptors are left, for now
    return lose_link(error.what());
  }
  link_->send({}, cluster::RegisterAgent{.host = cluster::host_name(), .pid = getpid()});
  for (const cluster::WorkerEnded& ended : workers_.history()) link_->send({}, ended);
  if (!wish_.empty()) link_->send({}, cluster::StopRequest{.reason = wish_});
}

void Supervisor::tell_scheduler() {
  if (!link_) return;
  for (const cluster::WorkerEnded& ended : workers_.take_news()) link_->send({}, ended);
}

void Supervisor::receive() {
  try {
    while (link_) {
      const auto message = link_->receive(milliseconds(0));
      if (!message) return;
      handle(message->body);
    }
  } catch (const Error& error) {
    lose_link(error.what());  // most often the scheduler is dead, or ending
  }
}

void Supervisor::lose_link(const std::string& why) {
  link_.reset();
  lost_ = why;
  reconnect_at_.set(kReconnect);
  if (!scheduler_) back_by_.set(options_.limits.scheduler_back);
}

// What a scheduler said last may still be on its way when its process has ended.
void Supervisor::receive_last() {
  const auto until = Clock::now() + milliseconds(200);
  try {
    while (link_ && Clock::now() < until) {
      if (const auto message = link_->receive(milliseconds(20))) handle(message->body);
    }
  } catch (const Error&) {  // all is received
  }
  link_.reset();
}

void Supervisor::handle(const cluster::Body& body) {
  heard_ = Clock::now();
  back_by_.at.reset();
  if (verdict_by_.at) verdict_by_.at = Clock::now() + options_.limits.scheduler_verdict;
  if (const auto* progress = std::get_if<cluster::Progress>(&body)) {
    last_step_ = progress->step;
    progress_.update(*progress, Clock::now());
  } else if (const auto* notice = std::get_if<cluster::Notice>(&body)) {
    output_.line(Stream::kOutput, notice->text);
  } else if (const auto* exclude = std::get_if<cluster::Exclude>(&body)) {
    workers_.exclude(*exclude);
  } else if (const auto* stop = std::get_if<cluster::Stop>(&body)) {
    take_verdict(*stop);
  } else if (const auto* finish = std::get_if<cluster::FinishStep>(&body)) {
    answer_by_.at.reset();  // it may take as long as a step and a checkpoint take; the scheduler watches them
    wish(finish->reason);
  }
}

void Supervisor::reap_scheduler() {
  if (!scheduler_) return;
  const auto status = scheduler_->try_reap();
  if (!status) return;
  receive_last();
  answer_by_.at.reset();
  verdict_by_.at.reset();
  if (ending_) return;
  const std::string how = fmt::format("the scheduler (pid {}) {}", scheduler_->pid(), describe_exit(*status));
  if (!workers_.started()) {
    conclude(status->exit_code == 2 ? 2 : 1, how + " before it published its address");
  } else if (status->success()) {
    take_success();
  } else if (*status == ExitStatus{.exit_code = kExitStopped, .signal = 0}) {
    conclude(kExitStopped, "stopped by a signal");
    end_workers();
  } else if (status->signal == 0 && status->exit_code == 2) {
    conclude(2, fmt::format("{} after step {}; stopping", how, last_step_));
    end_workers();
  } else if (const auto code = workers_.agreed_exit()) {
    conclude(*code, *code == 0 ? "" : "stopped by a signal");
  } else {
    replace_scheduler(how);
    heed_signal_to_child(status->signal);
  }
}

void Supervisor::replace_scheduler(const std::string& how) {
  const auto now = Clock::now();
  if (auto wait = scheduler_->replace(now)) {
    if (!wish_.empty()) {
      scheduler_->hurry(now);
      wait = milliseconds(0);
    }
    say(fmt::format("{} after step {}; a new one takes its place{}", how, last_step_,
                    *wait == milliseconds(0) ? "" : fmt::format(" in {:g} s", in_seconds(*wait))));
    return;
  }
  end_without_restarts(how);
}

// The state is not lost: the run is stopped as a signal would stop it, by a last scheduler. Where not even that one
// lives, the workers that have the state write a checkpoint by themselves.
void Supervisor::end_without_restarts(const std::string& how) {
  const std::string what = fmt::format("{} after step {}; no restarts are left", how, last_step_);
  if (!std::exchange(last_scheduler_, true)) {
    say(what + ": the next one only sees to it that the workers finish their step, write a checkpoint and leave");
    wish("the scheduler was restarted too often");
    scheduler_->replace_once_more(Clock::now());
    return;
  }
  say(what + ": the workers write a checkpoint by themselves and leave");
  alone_ = what;
  workers_.cease(false);
  workers_.terminate();  // they understand it as a signal of the user, which no scheduler answers
  workers_gone_by_.set(options_.limits.alone);
}

void Supervisor::keep_scheduler_started(Clock::time_point now) {
  if (scheduler_->overdue(now)) {
    if (workers_.started()) {
      scheduler_->process().kill_group();  // its end will say so
    } else {
      conclude(1, fmt::format("{} did not publish its address within {} s", scheduler_title(),
                              in_seconds(options_.limits.scheduler_start)));
      end_everyone();
    }
  }
  if (const auto failure = scheduler_->start_if_due(now)) {
    scheduler_->expected() ? say(*failure) : end_without_restarts(*failure);
  }
}

// One that is stopped, or caught in a loop, is of no use to anybody: the next one goes on.
void Supervisor::end_silent_scheduler(Clock::time_point now) {
  const bool slept = now - std::exchange(last_look_, now) > std::chrono::seconds(3);
  if (slept || !link_) heard_ = now;
  const auto silence = std::chrono::duration_cast<std::chrono::seconds>(now - heard_);
  if (!scheduler_->running() || !scheduler_->ready() || silence < options_.limits.scheduler_silence) return;
  output_.line(Stream::kErrors, fmt::format("convoy: {} has been silent for {} s", scheduler_title(), silence.count()));
  scheduler_->process().kill_group();
  heard_ = now;
}

}  // namespace convoy::launcher
