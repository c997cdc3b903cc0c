#include "core/base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <mutex>

#include "core/base/error.h"

namespace convoy {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Hands formatted lines to a function.
class FunctionSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(std::function<void(std::string_view)> write) : write_(std::move(write)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::string_view text(line.data(), line.size());
    while (text.ends_with('\n')) text.remove_suffix(1);
    write_(text);
  }
  void flush_() override {}

 private:
  std::function<void(std::string_view)> write_;
};

constexpr char kPattern[] = "%Y-%m-%d %H:%M:%S.%e %l %v";

}  // namespace

struct Logger::Impl {
  Impl() : terminal(std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    sinks = std::make_shared<spdlog::sinks::dist_sink_mt>();
    sinks->add_sink(terminal);
    logger = std::make_unique<spdlog::logger>("convoy", sinks);
    // A line that cannot be written (full disk, closed terminal) must not become a second failure.
    logger->set_error_handler([](const std::string&) {});
    logger->set_pattern(kPattern);
    logger->set_level(spdlog::level::info);
    logger->flush_on(spdlog::level::trace);
  }

  std::shared_ptr<spdlog::sinks::sink> terminal;
  std::shared_ptr<spdlog::sinks::dist_sink_mt> sinks;
  std::unique_ptr<spdlog::logger> logger;

  std::mutex mutex;  // guards what follows
  int rank = -1;
  std::string ballot;
  std::int64_t step = -1;
};

Logger::Logger() : impl_(std::make_unique<Impl>()) {}
Logger::~Logger() = default;

void Logger::add_file(const std::string& path) {
  try {
    auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
    file->set_pattern(kPattern);
    impl_->sinks->add_sink(std::move(file));
  } catch (const spdlog::spdlog_ex& error) {
    fail(ErrorCode::kUnavailable, "cannot open log file {}: {}", path, error.what());
  }
}

void Logger::mute_terminal() { impl_->sinks->remove_sink(impl_->terminal); }

void Logger::redirect_terminal(std::function<void(std::string_view line)> write) {
  mute_terminal();
  impl_->terminal = std::make_shared<FunctionSink>(std::move(write));
  impl_->terminal->set_pattern(kPattern);
  impl_->sinks->add_sink(impl_->terminal);
}

void Logger::set_rank(int rank) {
  const std::scoped_lock lock(impl_->mutex);
  impl_->rank = rank;
}

void Logger::set_ballot(std::string_view ballot) {
  const std::scoped_lock lock(impl_->mutex);
  impl_->ballot = ballot;
}

void Logger::set_step(std::int64_t step) {
  const std::scoped_lock lock(impl_->mutex);
  impl_->step = step;
}

void Logger::write(LogLevel level, std::string_view message) {
  std::string where;
  {
    const std::scoped_lock lock(impl_->mutex);
    if (impl_->rank >= 0) where += fmt::format("rank={} ", impl_->rank);
    if (!impl_->ballot.empty()) where += fmt::format("ballot={} ", impl_->ballot);
    if (impl_->step >= 0) where += fmt::format("step={} ", impl_->step);
  }
  impl_->logger->log(to_spdlog(level), "{}{}", where, message);
}

}  // namespace convoy
