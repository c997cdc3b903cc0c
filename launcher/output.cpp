#include "launcher/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace convoy::launcher {
namespace {

constexpr std::size_t kBackedUp = 256 * 1024;
constexpr std::string_view kEraseLine = "\r\x1b[K";

}  // namespace

Output::Output(int output, int errors) : output_(output), errors_(errors), terminal_(isatty(output) == 1) {}

void Output::line(Stream stream, std::string_view text) {
  const std::scoped_lock lock(mutex_);
  if (!progress_.empty()) queue(output_, std::string(kEraseLine));
  queue(stream == Stream::kOutput ? output_ : errors_, std::string(text) + '\n');
  if (!progress_.empty()) queue(output_, progress_);
  write_some();
}

void Output::set_progress(std::string_view text) {
  if (!terminal_) return;
  const std::scoped_lock lock(mutex_);
  if (text.empty() && progress_.empty()) return;
  progress_ = text;
  queue(output_, std::string(kEraseLine) + progress_);
  write_some();
}

int Output::width() const {
  winsize size{};
  if (ioctl(output_, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::optional<pollfd> Output::waiting_for() const {
  const std::scoped_lock lock(mutex_);
  if (chunks_.empty()) return std::nullopt;
  return pollfd{.fd = chunks_.front().fd, .events = POLLOUT, .revents = 0};
}

void Output::flush() {
  const std::scoped_lock lock(mutex_);
  write_some();
}

bool Output::backed_up() const {
  const std::scoped_lock lock(mutex_);
  return queued_bytes_ > kBackedUp;
}

void Output::drain(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (auto waiting = waiting_for()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return;
    poll(&*waiting, 1, static_cast<int>(left));
    flush();
  }
}

void Output::queue(int fd, std::string bytes) {
  queued_bytes_ += bytes.size();
  if (!chunks_.empty() && chunks_.back().fd == fd) {
    chunks_.back().bytes += bytes;
  } else {
    chunks_.push_back({fd, std::move(bytes)});
  }
}

void Output::write_some() {
  while (!chunks_.empty()) {
    Chunk& chunk = chunks_.front();
    // The descriptor's blocking mode belongs to everybody who shares it, so it stays as it is: a write of up to
    // PIPE_BUF bytes does not block where poll says that there is room.
    pollfd room{.fd = chunk.fd, .events = POLLOUT, .revents = 0};
    if (poll(&room, 1, 0) != 1) return;
    const ssize_t wrote = write(chunk.fd, chunk.bytes.data(), std::min<std::size_t>(chunk.bytes.size(), PIPE_BUF));
    if (wrote < 0 && (errno == EINTR || errno == EAGAIN)) return;
    // Nobody reads any more (a closed pipe, a full disk): what cannot be shown is dropped, the run goes on.
    const std::size_t done = wrote < 0 ? chunk.bytes.size() : static_cast<std::size_t>(wrote);
    queued_bytes_ -= done;
    chunk.bytes.erase(0, done);
    if (chunk.bytes.empty()) chunks_.pop_front();
  }
}

void LineSplitter::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::size_t room = kLongest - partial_.size();
    const std::size_t count = std::min({end, bytes.size(), room});
    partial_ += bytes.substr(0, count);
    bytes.remove_prefix(count);
    if (count == end) {
      bytes.remove_prefix(1);
      if (!partial_.empty() && partial_.back() == '\r') partial_.pop_back();
      take_(partial_);
      partial_.clear();
    } else if (partial_.size() == kLongest) {
      finish();
    }
  }
}

void LineSplitter::finish() {
  if (partial_.empty()) return;
  take_(partial_);
  partial_.clear();
}

ReadResult read_lines(int fd, LineSplitter& splitter) {
  std::array<char, 64 * 1024> buffer;
  ssize_t got = 0;
  do {
    got = read(fd, buffer.data(), buffer.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return ReadResult::kNothing;
  if (got <= 0) return ReadResult::kClosed;
  splitter.feed({buffer.data(), static_cast<std::size_t>(got)});
  return ReadResult::kSome;
}

}  // namespace convoy::launcher
