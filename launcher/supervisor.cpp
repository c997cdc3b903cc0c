#include "launcher/supervisor.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <variant>

#include "cluster/address.h"
#include "cluster/link.h"
#include "cluster/messages.h"
#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/signals.h"
#include "core/base/uuid.h"
#include "launcher/child_environment.h"
#include "launcher/forwarded_process.h"
#include "launcher/lifeline.h"
#include "launcher/progress.h"

namespace convoy::launcher {
namespace {

using Clock = std::chrono::steady_clock;

// A worker's own line about what the scheduler words as "worker 3: what".
std::string in_its_own_words(const std::string& reason) {
  const std::size_t colon = reason.starts_with("worker ") ? reason.find(": ") : std::string::npos;
  return "convoy: " + (colon == std::string::npos ? reason : reason.substr(colon + 2));
}

// How the first worker that failed did so.
enum class Failure { kNone, kExited, kKilled };

struct Worker {
  int rank;
  ForwardedProcess child;
  // The child's number outlives the child: it is what messages name.
  pid_t pid;
};

class Supervisor {
 public:
  Supervisor(const LaunchOptions& options, Output& output)
      : options_(options),
        output_(output),
        signals_(kStopSignals),
        environment_(child_environment(options.environment)),
        token_(cluster::make_token()),
        progress_(output) {}

  int run() {
    start_scheduler();
    while (running()) {
      wait();
      take_signals();
      read_address();
      forward_lines();
      receive();
      reap_scheduler();  // first: workers whose scheduler is gone end too, and are not the cause
      reap_workers();
      keep_deadlines();
    }
    progress_.finish();
    output_.drain(std::chrono::seconds(1));
    return exit_code();
  }

 private:
  struct Deadline {
    std::optional<Clock::time_point> at;

    void set(std::chrono::milliseconds from_now) {
      const auto then = Clock::now() + from_now;
      at = at ? std::min(*at, then) : then;
    }
    bool passed() {
      if (!at || Clock::now() < *at) return false;
      at.reset();
      return true;
    }
  };

  // --- starting ---

  void start_scheduler() {
    Pipe address = make_pipe();
    SpawnOptions spawn{.program = options_.program,
                       .arguments = options_.scheduler_arguments,
                       .environment = environment_,
                       .inherited = {lifeline_.inherited(), address.write_end.get()}};
    set_variable(spawn, cluster::kTokenVariable, token_);
    set_variable(spawn, cluster::kAddressDescriptorVariable, std::to_string(address.write_end.get()));
    set_variable(spawn, cluster::kLifelineVariable, std::to_string(lifeline_.inherited()));
    scheduler_ = std::make_unique<ForwardedProcess>(
        spawn, [this](Stream stream, std::string_view line) { show_line("scheduler", stream, line); });
    scheduler_pid_ = scheduler_->process().pid();
    address_pipe_ = std::move(address.read_end);
    set_nonblocking(address_pipe_.get());
    address_by_.set(options_.limits.scheduler_start);
  }

  // The scheduler writes two lines: where it listens and its public key.
  void read_address() {
    if (!address_pipe_) return;
    std::array<char, 512> buffer;
    ssize_t got = 0;
    while ((got = read(address_pipe_.get(), buffer.data(), buffer.size())) > 0) {
      address_text_.append(buffer.data(), static_cast<std::size_t>(got));
    }
    const std::size_t first = address_text_.find('\n');
    const std::size_t second = first == std::string::npos ? first : address_text_.find('\n', first + 1);
    if (second == std::string::npos) {
      if (got == 0) address_pipe_.reset();  // it closed the pipe unsaid: its end or the deadline says the rest
      return;
    }
    address_pipe_.reset();
    address_by_.at.reset();
    if (ending_) return;
    start_workers({.address = address_text_.substr(0, first),
                   .public_key = address_text_.substr(first + 1, second - first - 1),
                   .token = token_});
  }

  void start_workers(const cluster::Credentials& credentials) {
    link_ = std::make_unique<cluster::Link>(credentials, Uuid::random());
    link_->send({}, cluster::RegisterAgent{.host = cluster::host_name(), .pid = getpid()});
    workers_.reserve(static_cast<std::size_t>(options_.workers));
    for (int rank = 0; rank < options_.workers; ++rank) {
      SpawnOptions spawn{.program = options_.worker_program.empty() ? options_.program : options_.worker_program,
                         .arguments = options_.worker_arguments,
                         .environment = environment_,
                         .inherited = {lifeline_.inherited()}};
      set_variable(spawn, cluster::kRankVariable, std::to_string(rank));
      set_variable(spawn, cluster::kWorldVariable, std::to_string(options_.workers));
      set_variable(spawn, cluster::kLocalRankVariable, std::to_string(rank));
      set_variable(spawn, cluster::kLocalWorldVariable, std::to_string(options_.workers));
      set_variable(spawn, cluster::kSchedulerVariable, credentials.address);
      set_variable(spawn, cluster::kSchedulerKeyVariable, credentials.public_key);
      set_variable(spawn, cluster::kTokenVariable, token_);
      if (!options_.run_directory.empty()) set_variable(spawn, cluster::kRunVariable, options_.run_directory);
      set_variable(spawn, cluster::kLifelineVariable, std::to_string(lifeline_.inherited()));
      ForwardedProcess child(spawn, [this, label = std::to_string(rank)](Stream stream, std::string_view line) {
        show_line(label, stream, line);
      });
      const pid_t pid = child.process().pid();
      workers_.push_back({.rank = rank, .child = std::move(child), .pid = pid});
    }
  }

  static void set_variable(SpawnOptions& spawn, const char* name, const std::string& value) {
    spawn.environment.push_back(std::string(name) + '=' + value);
  }

  // --- the loop's steps: none of them waits, but for wait() ---

  bool workers_running() const {
    return std::any_of(workers_.begin(), workers_.end(), [](const Worker& worker) { return worker.child.running(); });
  }
  bool running() const { return scheduler_->running() || workers_running(); }

  void wait() {
    std::vector<pollfd> watched{{.fd = signals_.descriptor(), .events = POLLIN, .revents = 0}};
    if (address_pipe_) watched.push_back({.fd = address_pipe_.get(), .events = POLLIN, .revents = 0});
    if (link_) watched.push_back({.fd = link_->poll_descriptor(), .events = POLLIN, .revents = 0});
    // Whoever shows our lines is slow: let the children wait rather than keep ever more for them.
    const bool only_ends = output_.backed_up();
    scheduler_->watch(watched, only_ends);
    for (const Worker& worker : workers_) worker.child.watch(watched, only_ends);
    if (const auto room = output_.waiting_for()) watched.push_back(*room);
    auto until = Clock::now() + std::chrono::seconds(1);
    for (const Deadline* deadline : {&address_by_, &answer_by_, &workers_gone_by_, &scheduler_gone_by_}) {
      if (deadline->at) until = std::min(until, *deadline->at);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
    output_.flush();
  }

  void take_signals() {
    while (const auto signal = signals_.take()) {
      // Terminals and batch systems often send the same wish twice within a moment.
      const bool first = stop_signal_ == 0;
      if (!first && Clock::now() - stop_signal_at_ < std::chrono::milliseconds(500)) continue;
      stop_signal_at_ = Clock::now();
      // What follows an announcement is no second wish.
      const bool insists = (hurried_ || ending_) && !announces_preemption(*signal);
      hurried_ = hurried_ || !announces_preemption(*signal);
      if (!insists && (!first || ending_)) continue;
      stop_signal_ = *signal;
      if (insists) {
        kill_everyone();
      } else if (!link_) {
        conclude(1, fmt::format("stopped by {} before the workers had started", signal_name(*signal)));
        end_everyone();
      } else {
        output_.line(Stream::kErrors, fmt::format("convoy: {}: the workers finish their step, write a checkpoint and "
                                                  "leave; once more ends them at once",
                                                  signal_name(*signal)));
        const std::string what = fmt::format("stopped by {}", signal_name(*signal));
        link_->send({}, cluster::StopRequest{.reason = what});
        await_verdict(what);
      }
    }
  }

  void forward_lines() {
    if (output_.backed_up()) return;
    scheduler_->forward();
    for (Worker& worker : workers_) worker.child.forward();
  }

  void receive() {
    try {
      while (link_) {
        const auto message = link_->receive(std::chrono::milliseconds(0));
        if (!message) return;
        handle(message->body);
      }
    } catch (const Error& error) {
      link_.reset();
      // Most often the scheduler is ending, which its process will say better.
      if (scheduler_->running() && workers_running() && first_failure_ == Failure::kNone) await_verdict(error.what());
    }
  }

  void handle(const cluster::Body& body) {
    if (const auto* progress = std::get_if<cluster::Progress>(&body)) {
      last_step_ = progress->step;
      progress_.update(*progress, Clock::now());
    } else if (const auto* notice = std::get_if<cluster::Notice>(&body)) {
      output_.line(Stream::kOutput, notice->text);
    } else if (const auto* stop = std::get_if<cluster::Stop>(&body)) {
      if (ending_) return;
      judged_ = true;
      conclude(stop->exit_code, stop->reason);
      if (stop->exit_code == 0 || stop_signal_ != 0) {
        workers_gone_by_.set(options_.limits.finish);
      } else {
        end_workers();
      }
    } else if (std::holds_alternative<cluster::FinishStep>(body)) {
      answer_by_.at.reset();  // it may take as long as a step and a checkpoint take; the scheduler watches them
    }
  }

  void reap_workers() {
    for (Worker& worker : workers_) {
      const auto status = worker.child.try_reap();
      if (!status) continue;
      if (link_) {
        link_->send(
            {}, cluster::WorkerEnded{
                    .rank = worker.rank, .pid = worker.pid, .exit_code = status->exit_code, .signal = status->signal});
      }
      if (!status->success()) note_failure(worker, *status);
      if (!workers_running()) scheduler_gone_by_.set(options_.limits.finish);
    }
  }

  void note_failure(const Worker& worker, const ExitStatus& status) {
    if (killed_ || status == ExitStatus{.exit_code = kExitStopped, .signal = 0}) return;  // as it was asked to
    usage_failure_ = usage_failure_ || status.exit_code == 2;
    const std::string what =
        fmt::format("worker {} (pid {}) {} after step {}", worker.rank, worker.pid, describe_exit(status), last_step_);
    if (ending_ && verdict_ == 0) {
      conclude(1, what + ", when the run was already complete");
    } else if (scheduler_->running()) {
      if (first_failure_ == Failure::kNone) {
        first_failure_ = status.signal != 0 ? Failure::kKilled : Failure::kExited;
        await_verdict(what);
      }
    } else {
      conclude(1, what);
      end_workers();
    }
  }

  void reap_scheduler() {
    const auto status = scheduler_->try_reap();
    if (!status) return;
    receive_last();
    answer_by_.at.reset();
    if (ending_) return;
    if (status->success() && !workers_.empty() && first_failure_ == Failure::kNone) {
      workers_gone_by_.set(options_.limits.finish);  // they were told to leave and are on their way
      return;
    }
    const std::string how = fmt::format("the scheduler (pid {}) {}", scheduler_pid_, describe_exit(*status));
    if (*status == ExitStatus{.exit_code = kExitStopped, .signal = 0}) {
      conclude(kExitStopped, "stopped by a signal");  // its last words were lost
    } else if (workers_.empty()) {
      conclude(status->exit_code == 2 ? 2 : 1, how + " before it published its address");
    } else if (first_failure_ == Failure::kKilled || (first_failure_ == Failure::kExited && status->signal == 0)) {
      conclude(1, unanswered_);
    } else {
      conclude(1, fmt::format("{} after step {}; stopping", how, last_step_));
    }
    end_workers();
  }

  // What a scheduler said last may still be on its way when its process has ended.
  void receive_last() {
    const auto until = Clock::now() + std::chrono::milliseconds(200);
    try {
      while (link_ && Clock::now() < until) {
        if (const auto message = link_->receive(std::chrono::milliseconds(20))) handle(message->body);
      }
    } catch (const Error&) {  // all is received
    }
    link_.reset();
  }

  void keep_deadlines() {
    if (address_by_.passed()) {
      conclude(1, fmt::format("the scheduler (pid {}) did not publish its address within {} s", scheduler_pid_,
                              std::chrono::duration<double>(options_.limits.scheduler_start).count()));
      end_everyone();
    }
    if (answer_by_.passed() && !ending_) {
      conclude(1, fmt::format("{}; the scheduler (pid {}) did not answer", unanswered_, scheduler_pid_));
      end_everyone();
    }
    if (workers_gone_by_.passed() && workers_running()) {
      if (!terminated_) complain(still_running());
      killed_ = true;
      for (Worker& worker : workers_) worker.child.process().kill_group();
    }
    if (scheduler_gone_by_.passed() && scheduler_->running()) {
      if (!terminated_) complain(fmt::format("the scheduler (pid {}) did not end and was killed", scheduler_pid_));
      scheduler_->process().kill_group();
    }
  }

  std::string still_running() const {
    std::vector<int> ranks;
    for (const Worker& worker : workers_) {
      if (worker.child.running()) ranks.push_back(worker.rank);
    }
    const bool one = ranks.size() == 1;
    return fmt::format("worker{} {} did not leave within {} s and {} killed", one ? "" : "s", fmt::join(ranks, ", "),
                       std::chrono::duration<double>(options_.limits.finish).count(), one ? "was" : "were");
  }

  // --- ending ---

  // Something failed: the scheduler knows more about it, so it has the word, for a while.
  void await_verdict(const std::string& what) {
    if (ending_) return;
    unanswered_ = what;
    answer_by_.set(options_.limits.scheduler_answer);
  }

  // Settles the exit code and says why, once; only a failure replaces a success.
  void conclude(int code, const std::string& reason) {
    if (ending_ && (verdict_ != 0 || code == 0)) return;
    ending_ = true;
    verdict_ = code;
    progress_.finish();
    if (!reason.empty() && said_.emplace(in_its_own_words(reason)).second) {
      output_.line(code == 0 ? Stream::kOutput : Stream::kErrors, code == 0 ? reason : "convoy: " + reason);
    }
  }

  // A failure on top of whatever was settled.
  void complain(const std::string& what) {
    output_.line(Stream::kErrors, "convoy: " + what);
    conclude(1, "");
  }

  void end_workers() {
    terminated_ = true;
    for (Worker& worker : workers_) worker.child.process().terminate();
    workers_gone_by_.set(options_.limits.terminate);
    // It may still be writing down what happened.
    scheduler_gone_by_.set(2 * options_.limits.terminate);
  }

  void end_everyone() {
    end_workers();
    scheduler_->process().terminate();
    scheduler_gone_by_.set(options_.limits.terminate);
  }

  void kill_everyone() {
    killed_ = true;
    conclude(1, fmt::format("stopped by {}", signal_name(stop_signal_)));
    for (Worker& worker : workers_) worker.child.process().kill_group();
    scheduler_->process().kill_group();
  }

  int exit_code() const {
    const int code = ending_ ? verdict_ : 0;
    return code == 1 && usage_failure_ && !judged_ ? 2 : code;
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
  const std::string token_;
  ProgressDisplay progress_;

  std::unique_ptr<ForwardedProcess> scheduler_;
  pid_t scheduler_pid_ = -1;
  UniqueFd address_pipe_;
  std::string address_text_;
  std::vector<Worker> workers_;
  std::unique_ptr<cluster::Link> link_;

  std::int64_t last_step_ = 0;
  std::set<std::string, std::less<>> said_;
  int stop_signal_ = 0;  // the last signal of the user
  Clock::time_point stop_signal_at_;
  bool hurried_ = false;     // a signal came that is no mere announcement
  bool ending_ = false;      // verdict_ stands
  int verdict_ = 0;          // the run's exit code
  bool terminated_ = false;  // after a failure: who stays is killed without another word
  bool killed_ = false;      // by us: how workers end says nothing any more
  bool judged_ = false;      // the verdict is the scheduler's
  bool usage_failure_ = false;
  Failure first_failure_ = Failure::kNone;
  std::string unanswered_;  // what the scheduler was told and has not judged yet
  Deadline address_by_;
  Deadline answer_by_;
  Deadline workers_gone_by_;
  Deadline scheduler_gone_by_;
};

}  // namespace

int launch(const LaunchOptions& options, Output& output) { return Supervisor(options, output).run(); }

}  // namespace convoy::launcher
