// What a launcher shows: lines of many processes and, on a terminal, one progress line that stays below them.
#pragma once

#include <poll.h>

#include <chrono>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace convoy::launcher {

enum class Stream { kOutput, kErrors };

// Writes whole lines to standard output and error in the order they come in. A reader that is slow or stopped (a
// pager, Ctrl-S) never blocks the caller: lines are kept, and backed_up() asks for no more. Thread-safe.
class Output {
 public:
  // Descriptors are not closed. A progress line is drawn on `output` when that is a terminal.
  Output(int output, int errors);

  void line(Stream stream, std::string_view text);
  bool draws_progress() const { return terminal_; }
  // Lines only, from now on: what looks like a terminal is a pipe that mpirun reads. Before the first progress line.
  void draw_nothing() { terminal_ = false; }
  // Draws `text` as the progress line in place of the last one; empty: none. Only where draws_progress().
  void set_progress(std::string_view text);
  int width() const;  // columns of the terminal, 80 where unknown

  // What to poll for while something waits to be written, then flush().
  std::optional<pollfd> waiting_for() const;
  void flush();
  bool backed_up() const;
  // Waits until all is written, but no longer than `limit`.
  void drain(std::chrono::milliseconds limit);

 private:
  struct Chunk {
    int fd;
    std::string bytes;
  };
  void queue(int fd, std::string bytes);  // these need mutex_
  void write_some();

  const int output_;
  const int errors_;
  bool terminal_;
  mutable std::mutex mutex_;
  std::deque<Chunk> chunks_;
  std::size_t queued_bytes_ = 0;
  std::string progress_;
};

// Cuts a stream of bytes into lines. What came without an end is held until it ends or finish(); a line longer than
// kLongest is handed out in pieces.
class LineSplitter {
 public:
  static constexpr std::size_t kLongest = 16 * 1024;

  explicit LineSplitter(std::function<void(std::string_view)> take) : take_(std::move(take)) {}
  void feed(std::string_view bytes);
  void finish();

 private:
  std::function<void(std::string_view)> take_;
  std::string partial_;
};

enum class ReadResult { kSome, kNothing, kClosed };
// Hands what the non-blocking `fd` holds to `splitter`, at most 64 KiB.
ReadResult read_lines(int fd, LineSplitter& splitter);

}  // namespace convoy::launcher
