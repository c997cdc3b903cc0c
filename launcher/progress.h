// How far a run is, for people: one line that updates in place on a terminal, a plain line now and then elsewhere.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "cluster/messages.h"
#include "launcher/output.h"

namespace convoy::launcher {

// "step 120/600  loss 2.3127  41,203 tokens/s  2 workers  0:35 left"
std::string progress_text(const cluster::Progress& progress);

// The first `columns` columns of UTF-8 text.
std::string cut_to_width(const std::string& text, int columns);

// Used from one thread at a time.
class ProgressDisplay {
 public:
  static constexpr std::chrono::seconds kPlainInterval{10};

  explicit ProgressDisplay(Output& output) : output_(output) {}

  // Draws at most once a step. Plain lines: the first step, the last, and one every kPlainInterval between them.
  void update(const cluster::Progress& progress, std::chrono::steady_clock::time_point now);
  // Leaves the last state as an ordinary line.
  void finish();

 private:
  Output& output_;
  std::optional<cluster::Progress> last_;
  std::optional<std::chrono::steady_clock::time_point> printed_at_;
  std::int64_t printed_step_ = 0;
};

}  // namespace convoy::launcher
