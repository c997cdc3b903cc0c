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
#include <map>
#include <sstream>
#include <thread>

#include "core/base/error.h"
#include "core/base/uuid.h"

namespace convoy::testing_support {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();  // throws nothing where a process of /proc ends meanwhile
  return text.str();
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

std::vector<fs::path> folders_of_processes() {
  std::vector<fs::path> result;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    if (entry.path().filename().string().find_first_not_of("0123456789") == std::string::npos) {
      result.push_back(entry.path());
    }
  }
  return result;
}

// Convoy's abstract sockets on this machine: name by inode.
std::map<std::string, std::string> abstract_sockets() {
  std::map<std::string, std::string> result;
  std::ifstream table("/proc/net/unix");
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string skipped, inode, name;
    for (int i = 0; i < 6; ++i) fields >> skipped;
    if (fields >> inode >> name && name.starts_with("@convoy-")) result[inode] = name;
  }
  return result;
}

// The segments that a process has mapped, as device and inode.
std::set<std::string> segments_of(const fs::path& process) {
  std::set<std::string> result;
  std::ifstream maps(process / "maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:convoy-") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string range, access, offset, device, inode;
    if (fields >> range >> access >> offset >> device >> inode) result.insert(device + " " + inode);
  }
  return result;
}

}  // namespace

LaunchedRun::LaunchedRun(const std::string& name)
    : marker_("CONVOY_TEST_MARKER=" + random_hex(8)),
      folder_(fs::temp_directory_path() / (name + "-" + random_hex(8))) {
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
  for (const fs::path& process : folders_of_processes()) {
    // A zombie has no environment any more.
    if (contains(strings_of(process / "environ"), marker_)) result.push_back(std::stoi(process.filename().string()));
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

std::size_t LaunchedRun::note_resources() {
  const auto sockets = abstract_sockets();
  for (const pid_t pid : processes()) {
    const fs::path process = fs::path("/proc") / std::to_string(pid);
    segments_.merge(segments_of(process));
    std::error_code error;
    for (const auto& descriptor : fs::directory_iterator(process / "fd", error)) {
      const std::string target = fs::read_symlink(descriptor.path(), error).string();  // "socket:[INODE]"
      if (!target.starts_with("socket:[")) continue;
      const auto found = sockets.find(target.substr(8, target.size() - 9));
      if (found != sockets.end()) sockets_.insert(found->second);
    }
  }
  return sockets_.size() + segments_.size();
}

std::string LaunchedRun::remains() const {
  std::string text;
  for (const pid_t pid : processes()) {
    text += "process " + std::to_string(pid) + ":" + command_line(pid) + "\n";
  }
  for (const auto& [inode, name] : abstract_sockets()) {
    if (sockets_.contains(name)) text += "socket " + name + "\n";
  }
  for (const fs::path& process : folders_of_processes()) {
    for (const std::string& segment : segments_of(process)) {
      if (segments_.contains(segment)) text += "segment " + segment + " in " + process.string() + "\n";
    }
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
