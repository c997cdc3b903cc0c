#include "library/run_status.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "launcher/progress.h"
#include "library/environment.h"
#include "library/run_source.h"
#include "library/status_text.h"
#include "scheduler/run_view_json.h"

namespace convoy::library {
namespace {

using scheduler::RunState;
using scheduler::RunView;

constexpr std::chrono::seconds kInterval{1};
// How often nobody must be found, where there was a run before, for it to be over: a scheduler may be about to be
// started anew.
constexpr int kTries = 15;

std::string token_of(const launcher::StatusLine& line) {
  if (line.token_file.empty()) return environment(kHttpTokenVariable).value_or("");
  std::ifstream file(line.token_file);
  std::string token;
  if (!(file >> token))
    fail(ErrorCode::kUsage, "--token-file {}: cannot be read, or is empty: expected a token", line.token_file);
  return token;
}

// A block of lines that is drawn again in its place.
class Screen {
 public:
  explicit Screen(std::ostream& output) : output_(output) {}

  void draw(std::vector<std::string> lines) {
    winsize size{};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && size.ws_row > 1;
    const int columns = known ? size.ws_col - 1 : 79;
    const std::size_t rows = known ? size.ws_row - 1u : 23;
    if (lines.size() > rows) lines.resize(rows);
    std::string text;
    if (drawn_ > 0) text += fmt::format("\x1b[{}A", drawn_);
    for (const std::string& line : lines) text += launcher::cut_to_width(line, columns) + "\x1b[K\n";
    text += "\x1b[J";
    output_ << text << std::flush;
    drawn_ = lines.size();
  }
  // How many events there is room for below `others` lines.
  static std::size_t room(std::size_t others) {
    winsize size{};
    const std::size_t rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row - 2u : 22;
    return std::min<std::size_t>(10, rows > others ? rows - others : 0);
  }

 private:
  std::ostream& output_;
  std::size_t drawn_ = 0;
};

void print(const Told& told, std::ostream& output) {
  for (const std::string& line : status_lines(told.view, {.url = told.url})) output << line << '\n';
  output.flush();
}

bool over(const RunView& view) { return view.state == RunState::kFinished || view.state == RunState::kStopped; }

// Without a terminal: a line whenever something changed, and one for each event from now on.
class PlainLines {
 public:
  explicit PlainLines(std::ostream& output) : output_(output) {}

  void show(const RunView& view) {
    for (const scheduler::TimedEvent& event : view.events) {
      if (shown_any_ && event.time_s > last_event_s_) output_ << event_line(event) << '\n';
    }
    if (!view.events.empty()) last_event_s_ = std::max(last_event_s_, view.events.back().time_s);
    const std::string line = status_line(view);
    if (line != last_line_) output_ << line << std::endl;
    last_line_ = line;
    shown_any_ = true;
  }

 private:
  std::ostream& output_;
  bool shown_any_ = false;
  double last_event_s_ = 0.0;
  std::string last_line_;
};

// --watch: on a terminal, to a file or pipe, or as JSON.
class Watch {
 public:
  Watch(const RunSource& source, bool json, std::ostream& output)
      : source_(source),
        json_(json),
        draws_(!json && isatty(STDOUT_FILENO) == 1),
        screen_(output),
        plain_(output),
        output_(output) {}

  // Whether the run is over.
  bool look() {
    try {
      const Told told = ask(source_);
      show(told);
      answered_ = true;
      misses_ = told.dead ? misses_ + 1 : 0;
      return over(told.view) || misses_ == kTries;
    } catch (const Error& error) {
      if (!answered_ || ++misses_ == kTries) throw;
      if (draws_) {
        std::vector<std::string> lines = lines_;
        lines.insert(lines.begin(), fmt::format("{}; asking again", error.what()));
        screen_.draw(std::move(lines));
      } else if (!json_ && misses_ == 1) {
        output_ << error.what() << "; asking again" << std::endl;
      }
      return false;
    }
  }

 private:
  void show(const Told& told) {
    if (json_) {
      output_ << scheduler::to_json(told.view) << std::endl;
    } else if (draws_) {
      const std::size_t others = status_lines(told.view, {.url = told.url, .events = 0}).size();
      lines_ = status_lines(told.view, {.url = told.url, .events = Screen::room(others)});
      screen_.draw(lines_);
    } else {
      plain_.show(told.view);
    }
  }

  const RunSource& source_;
  const bool json_;
  const bool draws_;
  Screen screen_;
  PlainLines plain_;
  std::ostream& output_;
  std::vector<std::string> lines_;  // as they were drawn last
  bool answered_ = false;
  int misses_ = 0;  // in a row
};

int watch(const RunSource& source, bool json, std::ostream& output) {
  Watch watching(source, json, output);
  while (!watching.look()) {
    if (!output) fail(ErrorCode::kUnavailable, "cannot write to standard output");
    std::this_thread::sleep_for(kInterval);
  }
  return 0;
}

}  // namespace

int run_status(const launcher::StatusLine& line, std::ostream& output) {
  const RunSource source = RunSource::parse(line.source, token_of(line));
  if (line.watch) return watch(source, line.json, output);
  const Told told = ask(source);
  if (line.json) {
    output << scheduler::to_json(told.view) << std::endl;
  } else {
    print(told, output);
  }
  return 0;
}

}  // namespace convoy::library
