#include "launcher/supervisor.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <variant>

#include "cluster/address.h"
#include "cluster/messages.h"
#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/signals.h"
#include "core/base/uuid.h"
#include "launcher/child_environment.h"
#include "launcher/lifeline.h"
#include "launcher/progress.h"
#include "launcher/scheduler_file.h"
#include "launcher/worker_processes.h"

namespace convoy::launcher {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kReconnect{50};  // between two tries to reach a scheduler that lives

// A worker's own line about what the scheduler words as "worker 3: what".
std::string in_its_own_words(const std::string& reason) {
  const std::size_t colon = reason.starts_with("worker ") ? reason.find(": ") : std::string::npos;
  return "convoy: " + (colon == std::string::npos ? reason : reason.substr(colon + 2));
}

double in_seconds(milliseconds time) { return std::chrono::duration<double>(time).count(); }

class Supervisor {
 public:
  Supervisor(const LaunchOptions& options, Output& output)
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
                  .lifeline = lifeline_.inherited(),
                  .restarts = options.worker_restarts},
                 {.line = [this](const std::string& label, Stream stream,
                                 std::string_view line) { show_line(label, stream, line); },
                  .own = [this](const std::string& what) { say(what); }}) {
    if (!options.join) scheduler_.emplace(scheduler_options());
  }

  int run() {
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
      workers_.start_due(Clock::now());
      tell_scheduler();
      keep_deadlines();
    }
    progress_.finish();
    output_.drain(std::chrono::seconds(1));
    return verdict_ == 1 && workers_.misused() && !judged_ ? 2 : verdict_;
  }

 private:
  struct Deadline {
    std::optional<Clock::time_point> at;

    void set(milliseconds from_now) {
      const auto then = Clock::now() + from_now;
      at = at ? std::min(*at, then) : then;
    }
    bool passed() {
      if (!at || Clock::now() < *at) return false;
      at.reset();
      return true;
    }
  };

  // --- the scheduler ---

  SchedulerChildOptions scheduler_options() {
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

  const cluster::Credentials& credentials() const { return scheduler_ ? scheduler_->credentials() : *options_.join; }

  void meet_scheduler() {
    if (workers_.started()) {
      connect();
    } else {
      begin();
    }
  }

  void begin() {
    if (scheduler_ && !options_.run_directory.empty()) file_.emplace(options_.run_directory, whereabouts());
    connect();
    workers_.start(credentials());
  }

  // On other hosts nobody answers at this one's loopback, or somebody who does not know the run's token.
  Whereabouts whereabouts() const {
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
  void connect() {
    reconnect_at_.at.reset();
    link_ = std::make_unique<cluster::Link>(credentials(), self_);
    link_->send({}, cluster::RegisterAgent{.host = cluster::host_name(), .pid = getpid()});
    for (const cluster::WorkerEnded& ended : workers_.history()) link_->send({}, ended);
    if (!wish_.empty()) link_->send({}, cluster::StopRequest{.reason = wish_});
  }
  bool may_connect() const { return !link_ && !ending_ && (!scheduler_ || scheduler_->ready()); }

  void tell_scheduler() {
    if (!link_) return;
    for (const cluster::WorkerEnded& ended : workers_.take_news()) link_->send({}, ended);
  }

  void reap_scheduler() {
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
    }
  }

  void replace_scheduler(const std::string& how) {
    if (const auto wait = scheduler_->replace(Clock::now())) {
      say(fmt::format("{} after step {}; a new one takes its place{}", how, last_step_,
                      *wait == milliseconds(0) ? "" : fmt::format(" in {:g} s", in_seconds(*wait))));
      return;
    }
    conclude(1, fmt::format("{} after step {}; no restarts are left, stopping", how, last_step_));
    end_workers();
  }

  // What a scheduler said last may still be on its way when its process has ended.
  void receive_last() {
    const auto until = Clock::now() + milliseconds(200);
    try {
      while (link_ && Clock::now() < until) {
        if (const auto message = link_->receive(milliseconds(20))) handle(message->body);
      }
    } catch (const Error&) {  // all is received
    }
    link_.reset();
  }

  // --- the loop's steps: none of them waits, but for wait() ---

  bool processes_running() const { return (scheduler_ && scheduler_->running()) || workers_.running(); }

  void wait() {
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

  void take_signals() {
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
        say(fmt::format("{}: the workers finish their step, write a checkpoint and leave; once more ends them at once",
                        signal_name(*signal)));
        wish(fmt::format("stopped by {}", signal_name(*signal)));
        if (!link_) continue;  // whoever is next will be asked
        link_->send({}, cluster::StopRequest{.reason = wish_});
        answer_by_.set(options_.limits.scheduler_answer);
      }
    }
  }

  void forward_lines() {
    if (output_.backed_up()) return;
    if (scheduler_) scheduler_->forward();
    workers_.forward();
  }

  void receive() {
    try {
      while (link_) {
        const auto message = link_->receive(milliseconds(0));
        if (!message) return;
        handle(message->body);
      }
    } catch (const Error& error) {
      link_.reset();  // most often the scheduler is dead, or ending
      lost_ = error.what();
      reconnect_at_.set(kReconnect);
      if (!scheduler_) back_by_.set(options_.limits.scheduler_back);
    }
  }

  void handle(const cluster::Body& body) {
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

  // The run is to end after the step under way: that holds for a scheduler that has not heard of it too.
  void wish(const std::string& reason) {
    if (wish_.empty()) wish_ = reason;
    workers_.cease(false);
  }

  void keep_deadlines() {
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
      if (!terminated_) complain(still_running());
      workers_.cease(true);
      workers_.kill();
    }
    if (scheduler_gone_by_.passed() && scheduler_ && scheduler_->running()) {
      if (!terminated_) complain(scheduler_title() + " did not end and was killed");
      scheduler_->process().kill_group();
    }
  }

  // One that is stopped, or caught in a loop, is of no use to anybody: the next one goes on.
  void end_silent_scheduler(Clock::time_point now) {
    const bool slept = now - std::exchange(last_look_, now) > std::chrono::seconds(3);
    if (slept || !link_) heard_ = now;
    const auto silence = std::chrono::duration_cast<std::chrono::seconds>(now - heard_);
    if (!scheduler_->running() || !scheduler_->ready() || silence < options_.limits.scheduler_silence) return;
    output_.line(Stream::kErrors,
                 fmt::format("convoy: {} has been silent for {} s", scheduler_title(), silence.count()));
    scheduler_->process().kill_group();
    heard_ = now;
  }

  void keep_scheduler_started(Clock::time_point now) {
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
      if (scheduler_->expected()) {
        say(*failure);
      } else {
        conclude(1, fmt::format("{} after step {}; no restarts are left, stopping", *failure, last_step_));
        end_workers();
      }
    }
  }

  // No worker is here or will come: the scheduler has the last word, unless it is gone itself.
  void await_verdict() {
    const std::optional<int> code = workers_.agreed_exit();
    if (workers_.due()) return;  // something is still to be said of them
    if (!scheduler_ && !code) {  // others may go on
      conclude(workers_.misused() ? 2 : 1, "none of these workers is left in the run");
    } else if (!scheduler_ && !link_) {  // its last words were lost
      conclude(*code, *code == 0 ? "" : "stopped by a signal");
    } else if (!verdict_by_.at && link_) {
      verdict_by_.set(options_.limits.scheduler_verdict);
    } else if (verdict_by_.passed()) {
      conclude(1, fmt::format("no worker is left after step {}; {} did not answer", last_step_, scheduler_title()));
      end_everyone();
    }
  }

  std::string scheduler_title() const {
    return scheduler_ ? fmt::format("the scheduler (pid {})", scheduler_->pid())
                      : fmt::format("the scheduler at {}", credentials().address);
  }

  std::string still_running() const {
    const std::vector<int> ranks = workers_.running_ranks();
    const bool one = ranks.size() == 1;
    return fmt::format("worker{} {} did not leave within {} s and {} killed", one ? "" : "s", fmt::join(ranks, ", "),
                       in_seconds(options_.limits.finish), one ? "was" : "were");
  }

  // --- ending ---

  void take_verdict(const cluster::Stop& stop) {
    if (ending_) return;
    judged_ = true;
    conclude(stop.exit_code, stop.reason);
    if (stop.exit_code == 0 || stop.exit_code == kExitStopped) {
      workers_.cease(false);
      if (!stop.save) workers_gone_by_.set(options_.limits.finish);
    } else if (stop_signal_ != 0) {
      workers_.cease(true);
      workers_gone_by_.set(options_.limits.finish);
    } else {
      end_workers();
    }
  }

  // All who took part have left, or are on their way.
  void take_success() {
    judged_ = true;
    conclude(0, "");
    workers_.cease(true);
    workers_.kill_newcomers(Clock::now());
    workers_gone_by_.set(options_.limits.finish);
  }

  // Settles the exit code and says why, once; only a failure replaces a success.
  void conclude(int code, const std::string& reason) {
    if (ending_ && (verdict_ != 0 || code == 0)) return;
    ending_ = true;
    verdict_ = code;
    verdict_by_.at.reset();
    if (scheduler_) scheduler_->give_up();
    progress_.finish();
    if (!reason.empty() && said_.emplace(in_its_own_words(reason)).second) {
      output_.line(code == 0 ? Stream::kOutput : Stream::kErrors, code == 0 ? reason : "convoy: " + reason);
    }
  }

  void say(const std::string& what) { output_.line(Stream::kErrors, "convoy: " + what); }

  // A failure on top of whatever was settled.
  void complain(const std::string& what) {
    say(what);
    conclude(1, "");
  }

  void end_workers() {
    terminated_ = true;
    workers_.cease(true);
    workers_.terminate();
    workers_gone_by_.set(options_.limits.terminate);
    // It may still be writing down what happened.
    scheduler_gone_by_.set(2 * options_.limits.terminate);
  }

  void end_everyone() {
    end_workers();
    if (!scheduler_ || !scheduler_->running()) return;
    scheduler_->process().terminate();
    scheduler_gone_by_.set(options_.limits.terminate);
  }

  void kill_everyone() {
    conclude(1, fmt::format("stopped by {}", signal_name(stop_signal_)));
    workers_.cease(true);
    workers_.kill();
    if (scheduler_ && scheduler_->running()) scheduler_->process().kill_group();
  }

  // One line of a child. What several workers, or a worker and the verdict, give as the reason is said once.
  void show_line(const std::string& label, Stream stream, std::string_view line) {
    if (stream == Stream::kErrors && line.starts_with("convoy: ") && !said_.emplace(line).second) return;
    output_.line(stream, fmt::format("[{}] {}", label, line));
  }

  const LaunchOptions& options_;
  Output& output_;
  SignalReceiver signals_;
  Lifeline lifeline_;
  const std::vector<std::string> environment_;
  const Uuid self_ = Uuid::random();
  ProgressDisplay progress_;
  std::optional<SchedulerChild> scheduler_;  // none where workers join a run
  std::optional<SchedulerFile> file_;
  WorkerProcesses workers_;
  std::unique_ptr<cluster::Link> link_;
  std::string lost_;  // what became of the last link

  std::int64_t last_step_ = 0;
  std::set<std::string, std::less<>> said_;
  int stop_signal_ = 0;  // the last signal of the user
  Clock::time_point stop_signal_at_;
  bool hurried_ = false;         // a signal came that is no mere announcement
  Clock::time_point heard_;      // of the scheduler
  Clock::time_point last_look_;  // whether it is silent
  std::string wish_;             // why the run ends after the step under way, if it does
  bool ending_ = false;          // verdict_ stands
  int verdict_ = 0;              // the run's exit code
  bool terminated_ = false;      // after a failure: who stays is killed without another word
  bool judged_ = false;          // the verdict is the scheduler's
  Deadline answer_by_;           // to a user's signal
  Deadline verdict_by_;
  Deadline reconnect_at_;
  Deadline back_by_;  // the scheduler of a run that was joined
  Deadline workers_gone_by_;
  Deadline scheduler_gone_by_;
};

}  // namespace

int launch(const LaunchOptions& options, Output& output) { return Supervisor(options, output).run(); }

}  // namespace convoy::launcher
