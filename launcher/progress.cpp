#include "launcher/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/quantity.h"

namespace convoy::launcher {
namespace {

std::string with_commas(std::int64_t value) {
  std::string digits = std::to_string(value);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string rate_text(double rate, const std::string& unit) {
  if (rate < 100.0) return fmt::format("{:.1f} {}", rate, unit);
  return fmt::format("{} {}", with_commas(std::llround(rate)), unit);
}

std::string time_text(double seconds) {
  const auto total = std::llround(std::max(seconds, 0.0));
  const auto hours = total / 3600;
  const auto minutes = total / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
  return fmt::format("{}:{:02}", minutes, total % 60);
}

}  // namespace

std::string progress_text(const cluster::Progress& progress) {
  std::string text = fmt::format("step {}/{}", progress.step, progress.steps);
  if (progress.step > 0) {
    text += fmt::format("  loss {:.4f}", unsigned_nan(progress.loss));
    if (std::isfinite(progress.rate) && progress.rate > 0.0)
      text += "  " + rate_text(progress.rate, progress.rate_unit);
  }
  if (progress.workers > 0)  // 0: of a run that is over
    text += fmt::format("  {} {}", progress.workers, progress.workers == 1 ? "worker" : "workers");
  const bool under_way = progress.step > 0 && progress.step < progress.steps;
  if (under_way && std::isfinite(progress.seconds_left) && progress.seconds_left > 0.0)
    text += fmt::format("  {} left", time_text(progress.seconds_left));
  return text;
}

std::string cut_to_width(const std::string& text, int columns) {
  int used = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool starts_character = (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
    if (starts_character && used++ == columns) return text.substr(0, i);
  }
  return text;
}

void ProgressDisplay::update(const cluster::Progress& progress, std::chrono::steady_clock::time_point now) {
  last_ = progress;
  if (output_.draws_progress()) {
    // One column stays free: a terminal wraps when its last column is written.
    output_.set_progress(cut_to_width(progress_text(progress), output_.width() - 1));
    return;
  }
  if (progress.step == 0 || progress.step == printed_step_) return;
  const bool due = !printed_at_ || progress.step >= progress.steps || now - *printed_at_ >= kPlainInterval;
  if (!due) return;
  output_.line(Stream::kOutput, progress_text(progress));
  printed_at_ = now;
  printed_step_ = progress.step;
}

void ProgressDisplay::finish() {
  output_.set_progress("");
  if (last_ && last_->step > printed_step_) output_.line(Stream::kOutput, progress_text(*last_));
  last_.reset();
}

}  // namespace convoy::launcher
