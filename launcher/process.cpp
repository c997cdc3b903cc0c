#include "launcher/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/base/error.h"

extern "C" {  // glibc 2.36 forgot to say so itself
#include <sys/pidfd.h>
}

namespace convoy::launcher {
namespace {

// What the child reports through a pipe that closes on exec: nothing when all went well.
struct SpawnFailure {
  char stage[16] = {};
  int error = 0;
};

// All that happens between fork and exec: system calls only, since other threads of the launcher may have held locks.
struct Child {
  pid_t launcher;
  const char* program;
  char* const* arguments;
  char* const* environment;
  const std::vector<int>* inherited;
  int null;
  int output;
  int errors;
  int failure;

  [[noreturn]] void report(const char* stage) const {
    SpawnFailure failed;
    failed.error = errno;
    std::strncpy(failed.stage, stage, sizeof failed.stage - 1);
    [[maybe_unused]] const ssize_t ignored = write(failure, &failed, sizeof failed);
    _exit(127);
  }

  void reset_signals() const {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &standard, nullptr);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
  }

  [[noreturn]] void run() const {
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) report("prctl");
    if (getppid() != launcher) _exit(127);  // it died before the kernel knew that we care
    reset_signals();
    if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0) {
      report("dup2");
    }
    // Also what the launcher itself inherited from whoever started it.
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    for (const int fd : *inherited) {
      if (fcntl(fd, F_SETFD, 0) != 0) report("fcntl");
    }
    execve(program, arguments, environment);
    report("exec");
  }
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const std::string& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

ssize_t read_whole(int fd, void* to, std::size_t size) {
  ssize_t got = 0;
  do {
    got = read(fd, to, size);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

Process::Process(const SpawnOptions& options) {
  std::vector<std::string> arguments{options.program};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(options.environment);
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) fail(ErrorCode::kUnavailable, "open /dev/null: {}", errno_text(errno));
  Pipe output = make_pipe();
  Pipe errors = make_pipe();
  Pipe failure = make_pipe();

  const Child child{getpid(),
                    options.program.c_str(),
                    argv.data(),
                    envp.data(),
                    &options.inherited,
                    null.get(),
                    output.write_end.get(),
                    errors.write_end.get(),
                    failure.write_end.get()};
  pid_ = fork();
  if (pid_ < 0) fail(ErrorCode::kUnavailable, "fork: {}", errno_text(errno));
  if (pid_ == 0) child.run();
  setpgid(pid_, pid_);  // both sides, so that the group exists whoever runs first
  failure.write_end.reset();
  SpawnFailure failed;
  if (read_whole(failure.read_end.get(), &failed, sizeof failed) == static_cast<ssize_t>(sizeof failed)) {
    waitpid(pid_, nullptr, 0);
    fail(ErrorCode::kUnavailable, "cannot start {}: {}: {}", options.program, failed.stage, errno_text(failed.error));
  }
  pidfd_ = UniqueFd(pidfd_open(pid_, 0));
  if (!pidfd_) {
    const int error = errno;
    ::kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    fail(ErrorCode::kUnavailable, "pidfd_open: {}", errno_text(error));
  }
  output_ = std::move(output.read_end);
  errors_ = std::move(errors.read_end);
  set_nonblocking(output_.get());
  set_nonblocking(errors_.get());
}

Process::~Process() {
  if (reaped()) return;
  kill_group();
  waitpid(pid_, nullptr, 0);
}

std::optional<ExitStatus> Process::try_reap() {
  if (reaped()) return std::nullopt;
  pollfd ended{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  if (poll(&ended, 1, 0) != 1) return std::nullopt;
  kill_group();  // before reaping: until then the number cannot belong to anybody else
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return std::nullopt;
  pidfd_.reset();
  if (WIFSIGNALED(status)) return ExitStatus{.exit_code = 0, .signal = WTERMSIG(status)};
  return ExitStatus{.exit_code = WEXITSTATUS(status), .signal = 0};
}

void Process::terminate() noexcept {
  if (!reaped()) pidfd_send_signal(pidfd_.get(), SIGTERM, nullptr, 0);
}

void Process::kill_group() noexcept {
  if (!reaped()) ::kill(-pid_, SIGKILL);
}

}  // namespace convoy::launcher
