#include "launcher/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/base/error.h"

namespace convoy::launcher {
namespace {

std::string this_process() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return fmt::format("pid {} on {}", getpid(), host.data());
}

std::string holder(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line.empty() ? "another process" : line;
}

enum class Attempt { kOurs, kSomebodyElses, kNoLocksHere };

Attempt try_lock(int descriptor) {
  while (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Attempt::kSomebodyElses;
    if (errno != EINTR) return Attempt::kNoLocksHere;
  }
  return Attempt::kOurs;
}

}  // namespace

RunLock::RunLock(const std::string& run_directory, std::chrono::milliseconds wait, const char* file) {
  const std::string path = fmt::format("{}/journal/{}", run_directory, file);
  std::error_code error;
  std::filesystem::create_directories(run_directory + "/journal", error);
  file_ = UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!file_) fail(ErrorCode::kUnavailable, "{}: cannot open: {}", path, errno_text(errno));
  const auto until = std::chrono::steady_clock::now() + wait;
  for (Attempt attempt; (attempt = try_lock(file_.get())) != Attempt::kOurs;) {
    is_real_ = attempt != Attempt::kNoLocksHere;
    if (!is_real_) break;
    if (std::chrono::steady_clock::now() >= until)
      fail(ErrorCode::kUsage, "run directory {} is in use by {}", run_directory, holder(path));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const std::string text = this_process() + '\n';
  if (ftruncate(file_.get(), 0) != 0 ||
      pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    fail(ErrorCode::kUnavailable, "{}: cannot write: {}", path, errno_text(errno));
}

bool run_in_use(const std::string& run_directory) {
  const std::string path = run_directory + "/journal/lock";
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file && flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace convoy::launcher
