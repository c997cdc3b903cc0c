#include "launcher/forwarded_process.h"

namespace convoy::launcher {
namespace {

// More than a pipe holds: what a child said last is read whole, one that never stops talking is not waited for.
constexpr int kLastReads = 32;

}  // namespace

ForwardedProcess::ForwardedProcess(const SpawnOptions& options, const TakeLine& take)
    : process_(options),
      output_{.lines = LineSplitter([take](std::string_view line) { take(Stream::kOutput, line); })},
      errors_{.lines = LineSplitter([take](std::string_view line) { take(Stream::kErrors, line); })} {}

void ForwardedProcess::watch(std::vector<pollfd>& watched, bool only_end) const {
  if (!running()) return;
  watched.push_back({.fd = process_.exit_descriptor(), .events = POLLIN, .revents = 0});
  if (only_end) return;
  if (output_.open) watched.push_back({.fd = process_.output().get(), .events = POLLIN, .revents = 0});
  if (errors_.open) watched.push_back({.fd = process_.errors().get(), .events = POLLIN, .revents = 0});
}

bool ForwardedProcess::forward_once(const UniqueFd& fd, Source& source) {
  if (!source.open) return false;
  const ReadResult result = read_lines(fd.get(), source.lines);
  if (result == ReadResult::kClosed) source.open = false;
  return result == ReadResult::kSome;
}

void ForwardedProcess::forward() {
  if (!running()) return;
  forward_once(process_.output(), output_);
  forward_once(process_.errors(), errors_);
}

std::optional<ExitStatus> ForwardedProcess::try_reap() {
  const std::optional<ExitStatus> status = process_.try_reap();
  if (!status) return std::nullopt;
  for (int i = 0; i < kLastReads && forward_once(process_.output(), output_); ++i) {
  }
  for (int i = 0; i < kLastReads && forward_once(process_.errors(), errors_); ++i) {
  }
  output_.lines.finish();
  errors_.lines.finish();
  return status;
}

}  // namespace convoy::launcher
