// Log lines with time, rank, ballot and step. One Logger a process, made in main() and passed down by reference.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace convoy {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Thread-safe. Info is rare enough to read. Lines look like
//   2026-11-20 10:15:02.123 info rank=1 ballot=1.1 step=42 message
// where parts that are not known yet are left out.
class Logger {
 public:
  // Writes to standard error.
  Logger();
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  // Also appends to `path` (created if need be). Throws Error(kUnavailable).
  void add_file(const std::string& path);
  // Stops writing to standard error (files go on).
  void mute_terminal();
  // Hands each line (without its end) to `write` instead of standard error: whoever draws on the terminal writes log
  // lines around its drawing. Called from any thread, one at a time, and never after ~Logger or mute_terminal.
  void redirect_terminal(std::function<void(std::string_view line)> write);
  void set_rank(int rank);
  void set_ballot(std::string_view ballot);
  void set_step(std::int64_t step);

  void write(LogLevel level, std::string_view message);

  template <typename... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void warning(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace convoy
