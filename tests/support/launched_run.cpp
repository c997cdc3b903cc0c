#include "tests/support/launched_run.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

#include "core/base/error.h"
#include "core/base/uuid.h"

namespace convoy::testing_support {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The NUL-terminated strings of a file of /proc.
std::vector<std::string> strings_of(const fs::path& path) {
  std::vector<std::string> result;
  std::string text = read_all(path);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\0', at), text.size());
    result.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return result;
}

bool contains(const std::vector<std::string>& strings, const std::string& wanted) {
  return std::find(strings.begin(), strings.end(), wanted) != strings.end();
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) names.insert(entry.path().filename());
  return names;
}

}  // namespace

LaunchedRun::LaunchedRun(const std::string& name)
    : marker_("CONVOY_TEST_MARKER=" + random_hex(8)),
      folder_(fs::temp_directory_path() / (name + "-" + random_hex(8))),
      shared_memory_before_(names_in("/dev/shm")) {
  fs::create_directories(folder_);
}

LaunchedRun::~LaunchedRun() {
  for (const pid_t pid : processes()) kill(pid, SIGKILL);
  if (pid_ > 0 && !reaped_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::error_code error;
  fs::remove_all(folder_, error);
}

void LaunchedRun::start(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const std::string output = folder_ / "stdout";
  const std::string errors = folder_ / "stderr";
  const std::string temporary = "TMPDIR=" + folder_.string();
  pid_ = fork();
  if (pid_ < 0) fail(ErrorCode::kUnavailable, "fork: {}", errno_text(errno));  // never a number to kill
  if (pid_ != 0) return;
  putenv(const_cast<char*>(marker_.c_str()));
  putenv(const_cast<char*>(temporary.c_str()));
  // As a shell starts it: tests may run with signals ignored or blocked.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(signal, SIG_DFL);
  dup2(open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), STDOUT_FILENO);
  dup2(open(errors.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
  if (chdir(folder_.c_str()) != 0) _exit(126);
  execv(arguments[0], arguments.data());
  _exit(127);
}

std::string LaunchedRun::output() const { return read_all(folder_ / "stdout"); }
std::string LaunchedRun::errors() const { return read_all(folder_ / "stderr"); }

std::vector<pid_t> LaunchedRun::processes() const {
  std::vector<pid_t> result;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    // A zombie has no environment any more.
    if (contains(strings_of(entry.path() / "environ"), marker_)) result.push_back(std::stoi(name));
  }
  return result;
}

std::optional<pid_t> LaunchedRun::with_variable(const std::string& variable) const {
  for (const pid_t pid : processes()) {
    if (contains(strings_of(fs::path("/proc") / std::to_string(pid) / "environ"), variable)) return pid;
  }
  return std::nullopt;
}

std::optional<pid_t> LaunchedRun::with_command(const std::string& command) const {
  for (const pid_t pid : processes()) {
    const auto arguments = strings_of(fs::path("/proc") / std::to_string(pid) / "cmdline");
    if (arguments.size() > 1 && arguments[1] == command) return pid;
  }
  return std::nullopt;
}

std::string LaunchedRun::command_line(pid_t pid) {
  std::string text;
  for (const std::string& word : strings_of(fs::path("/proc") / std::to_string(pid) / "cmdline")) text += " " + word;
  return text;
}

bool LaunchedRun::wait_until(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::optional<ExitStatus> LaunchedRun::wait_exit(std::chrono::milliseconds limit) {
  int status = 0;
  if (!wait_until([&] { return waitpid(pid_, &status, WNOHANG) == pid_; }, limit)) return std::nullopt;
  reaped_ = true;
  if (WIFSIGNALED(status)) return ExitStatus{.exit_code = 0, .signal = WTERMSIG(status)};
  return ExitStatus{.exit_code = WEXITSTATUS(status), .signal = 0};
}

std::string LaunchedRun::remains() const {
  std::string text;
  for (const pid_t pid : processes()) {
    text += "process " + std::to_string(pid) + ":" + command_line(pid) + "\n";
  }
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder_, error)) {
    if (entry.is_socket()) text += "socket " + entry.path().string() + "\n";
  }
  for (const std::string& name : names_in("/dev/shm")) {
    if (!shared_memory_before_.contains(name)) text += "shared memory /dev/shm/" + name + "\n";
  }
  return text;
}

std::string LaunchedRun::left_behind(std::chrono::milliseconds limit) const {
  std::string text;
  wait_until(
      [&] {
        text = remains();
        return text.empty();
      },
      limit);
  return text;
}

}  // namespace convoy::testing_support
