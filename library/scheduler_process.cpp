#include "library/scheduler_process.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>
#include <variant>
#include <vector>

#include "cluster/address.h"
#include "cluster/messages.h"
#include "cluster/place.h"
#include "core/base/error.h"
#include "launcher/child_environment.h"
#include "launcher/preparation.h"
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

// A pipe that holds `bytes`, of which there are few, and gets no more.
launcher::Pipe pipe_with(const std::string& bytes) {
  launcher::Pipe pipe = launcher::make_pipe();
  if (write(pipe.write_end.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    fail(ErrorCode::kUnavailable, "cannot tell the scheduler what to be: {}", errno_text(errno));
  pipe.write_end.reset();
  return pipe;
}

}  // namespace

SchedulerProcess::SchedulerProcess(const launcher::SchedulerLine& line, Program program,
                                   const std::vector<std::string>& environment, launcher::Output& output)
    : output_(output), progress_(output) {
  credentials_.token = cluster::make_token();
  launcher::Pipe address = launcher::make_pipe();
  launcher::SpawnOptions spawn{.program = kProgram,
                               .arguments = launcher::to_arguments(line),
                               .environment = launcher::child_environment(environment),
                               .inherited = {lifeline_.inherited(), address.write_end.get()}};
  const auto set = [&](const char* name, const std::string& value) {
    spawn.environment.push_back(std::string(name) + '=' + value);
  };
  set(cluster::kTokenVariable, credentials_.token);
  set(cluster::kAddressDescriptorVariable, std::to_string(address.write_end.get()));
  set(cluster::kLifelineVariable, std::to_string(lifeline_.inherited()));
  launcher::Pipe words;
  if (program == Program::kOwn) {
    words = pipe_with(launcher::encode_words(spawn.arguments));
    spawn.arguments = command_words();
    spawn.inherited.push_back(words.read_end.get());
    set(cluster::kSchedulerWordsVariable, std::to_string(words.read_end.get()));
  }
  child_ = std::make_unique<launcher::ForwardedProcess>(spawn, [&output](Stream stream, std::string_view text) {
    output.line(stream, fmt::format("[scheduler] {}", text));
  });
  wait_for_address(std::move(address));
  link_ = std::make_unique<cluster::Link>(credentials_, Uuid::random());
  link_->send({}, cluster::RegisterAgent{.host = cluster::host_name(), .pid = getpid()});
  thread_ = std::thread([this] { serve(); });
}

// It writes two lines: where it listens and its public key.
void SchedulerProcess::wait_for_address(launcher::Pipe address) {
  address.write_end.reset();
  const auto until = Clock::now() + kStart;
  std::string text;
  std::size_t first = std::string::npos;
  std::size_t second = std::string::npos;
  while (second == std::string::npos) {
    pollfd readable{.fd = address.read_end.get(), .events = POLLIN, .revents = 0};
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
    std::array<char, 512> buffer;
    const bool ready = left > 0 && poll(&readable, 1, static_cast<int>(left)) == 1;
    const ssize_t got = ready ? read(address.read_end.get(), buffer.data(), buffer.size()) : 0;
    if (got <= 0) {
      child_->forward();
      fail(ErrorCode::kUnavailable, "the scheduler (pid {}) {}", child_->process().pid(),
           ready ? "ended before it published its address" : "did not publish its address within 20 s");
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
    first = text.find('\n');
    second = first == std::string::npos ? first : text.find('\n', first + 1);
  }
  credentials_.address = text.substr(0, first);
  credentials_.public_key = text.substr(first + 1, second - first - 1);
  cluster::HostPort where = cluster::split_address(credentials_.address);
  if (where.host == "0.0.0.0") credentials_.address = fmt::format("tcp://127.0.0.1:{}", where.port);
}

SchedulerProcess::~SchedulerProcess() {
  if (!thread_.joinable()) return;
  joining_ = true;
  if (!ended_within(kVerdict)) {
    link_->send({}, cluster::StopRequest{.reason = "worker 0 failed"});
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

void SchedulerProcess::serve() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are for the program's own threads
  std::optional<ExitStatus> status;
  while (!status) {
    if (kill_) child_->process().kill_group();
    std::vector<pollfd> watched{{.fd = link_->poll_descriptor(), .events = POLLIN, .revents = 0}};
    child_->watch(watched, output_.backed_up());
    poll(watched.data(), watched.size(), 100);
    output_.flush();
    child_->forward();
    receive(milliseconds(0));
    status = child_->try_reap();
  }
  // What it said last may still be on its way.
  for (const auto until = Clock::now() + milliseconds(200); reason_.empty() && Clock::now() < until;)
    receive(milliseconds(20));
  conclude(*status);
}

void SchedulerProcess::receive(milliseconds timeout) {
  try {
    while (const auto message = link_->receive(timeout)) {
      if (const auto* progress = std::get_if<cluster::Progress>(&message->body)) {
        last_step_ = progress->step;
        progress_.update(*progress, Clock::now());
      } else if (const auto* notice = std::get_if<cluster::Notice>(&message->body)) {
        output_.line(Stream::kOutput, notice->text);
      } else if (const auto* stop = std::get_if<cluster::Stop>(&message->body)) {
        reason_ = stop->reason;
      }
    }
  } catch (const Error&) {  // the link ends with the process, whose end says more
    std::this_thread::sleep_for(milliseconds(5));
  }
}

void SchedulerProcess::conclude(const ExitStatus& status) {
  exit_code_ = status.signal != 0 ? 1 : status.exit_code;
  if (kill_) {
    reason_ = fmt::format("the scheduler (pid {}) did not end and was killed", child_->process().pid());
  } else if (!status.success() && reason_.empty()) {
    reason_ = fmt::format("the scheduler (pid {}) {} after step {}", child_->process().pid(), describe_exit(status),
                          last_step_);
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
