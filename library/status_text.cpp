#include "library/status_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

#include "cluster/messages.h"
#include "core/base/utf8.h"
#include "launcher/progress.h"

namespace convoy::library {
namespace {

using scheduler::RunState;
using scheduler::RunView;
using scheduler::WorkerView;

std::string clock_text(double time_s, const char* format) {
  const auto seconds = static_cast<std::time_t>(time_s);
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), format, &local);
  return text.data();
}

std::string age_text(double seconds) {
  if (seconds < 60.0) return fmt::format("{:.0f} s", std::max(seconds, 0.0));
  if (seconds < 3600.0) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string spread_text(const scheduler::StepSpread& spread) {
  return fmt::format("{:.4g} … {:.4g} ms", spread.median_ms, spread.p99_ms);
}

std::string progress_text(const RunView& view) {
  cluster::Progress progress{.step = view.step,
                             .steps = view.steps,
                             .loss = view.loss,
                             .rate = view.rate,
                             .rate_unit = view.rate_unit,
                             .workers = static_cast<std::int32_t>(view.workers.size()),
                             .seconds_left = view.live ? view.seconds_left : 0.0};
  return launcher::progress_text(progress);
}

// The columns that UTF-8 text takes, as far as it is what we write.
std::size_t columns_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

using Row = std::array<std::string, 7>;

std::vector<std::string> table(const std::vector<Row>& rows) {
  std::array<std::size_t, std::tuple_size_v<Row>> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  std::vector<std::string> lines;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += "  " + row[i];
      if (i + 1 < row.size()) line.append(widths[i] - columns_of(row[i]), ' ');
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

Row row_of(const WorkerView& worker) {
  return {worker.rank >= 0 ? fmt::format("{}", worker.rank) : "-",
          printable_utf8(worker.host),
          fmt::format("{}", worker.pid),
          worker.phase.empty() ? "-" : printable_utf8(worker.phase),
          fmt::format("{}", worker.step),
          worker.step_time ? spread_text(*worker.step_time) : "-",
          worker.heartbeat_age_s ? fmt::format("{:.1f} s ago", *worker.heartbeat_age_s) : "-"};
}

}  // namespace

std::string event_line(const scheduler::TimedEvent& entry) {
  const scheduler::Event& event = entry.event;
  return fmt::format("{}  step {}  {}{}{}{}", clock_text(entry.time_s, "%H:%M:%S"), event.step,
                     printable_utf8(event.kind), event.rank >= 0 ? fmt::format(" (rank {})", event.rank) : "",
                     event.detail.empty() ? "" : "  ", printable_utf8(event.detail));
}

std::string status_line(const RunView& view) {
  return fmt::format("{}  {}", scheduler::state_name(view.state), progress_text(view));
}

std::vector<std::string> status_lines(const RunView& view, const StatusFormat& format) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{}{}{}: {}", printable_utf8(view.run_directory), view.recipe.empty() ? "" : ", ",
                              printable_utf8(view.recipe), scheduler::state_name(view.state)));
  if (!view.reason.empty()) lines.push_back(printable_utf8(view.reason));
  lines.push_back(progress_text(view));
  std::string more;
  const auto add = [&more](const std::string& part) { more += (more.empty() ? "" : ", ") + part; };
  if (view.step_time)
    add(fmt::format("step time {} (median … 99th percentile of {})", spread_text(*view.step_time),
                    view.step_time->steps));
  add("ballot " + view.ballot.to_string());
  if (view.started_s > 0.0) add("started " + clock_text(view.started_s, "%Y-%m-%d %H:%M:%S"));
  lines.push_back(more);
  more.clear();
  if (view.checkpoint)
    add(fmt::format("checkpoint of step {}, {} ago", view.checkpoint->step,
                    age_text(view.time_s - view.checkpoint->time_s)));
  if (view.workers_lost > 0) add(fmt::format("{} of {} workers lost", view.workers_lost, view.workers_joined));
  if (view.scheduler_restarts > 0) add(fmt::format("scheduler restarted {} ×", view.scheduler_restarts));
  if (!more.empty()) lines.push_back(more);
  if (!format.url.empty()) lines.push_back("status page: " + format.url);
  if (!view.workers.empty()) {
    std::vector<Row> rows = {{"rank", "host", "pid", "phase", "step", "step time", "heard"}};
    for (const WorkerView& worker : view.workers) rows.push_back(row_of(worker));
    lines.emplace_back();
    for (std::string& line : table(rows)) lines.push_back(std::move(line));
  }
  const std::size_t shown = std::min(format.events, view.events.size());
  if (shown > 0) lines.emplace_back();
  for (std::size_t i = view.events.size() - shown; i < view.events.size(); ++i)
    lines.push_back("  " + event_line(view.events[i]));
  return lines;
}

}  // namespace convoy::library
