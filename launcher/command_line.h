// What the user typed, as plain values. CLI11 stays in the .cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace convoy::launcher {

// convoy train RECIPE [key=value …] [--run DIR]
// convoy resume DIR [key=value …]: `run` is DIR, `recipe` the recipe in it.
struct TrainLine {
  std::string recipe;
  std::vector<std::string> overrides;
  std::optional<std::string> run;
  bool resume = false;
};

// convoy launch -n N [--run DIR] -- train RECIPE [key=value …] | resume DIR [key=value …]
struct LaunchLine {
  int workers = 1;
  TrainLine train;  // with the run directory from either place
};

// convoy scheduler --run DIR --workers N --steps K …: started by `convoy launch`, or by hand.
struct SchedulerLine {
  std::string run;
  std::string listen;
  int workers = 1;
  std::int64_t steps = 0;
  std::int64_t resume_step = 0;
  double suspect_s = 5.0;
  double hang_s = 30.0;
};

// convoy eval DIR|CHECKPOINT [key=value …] [--json]
struct EvalLine {
  std::string source;
  std::vector<std::string> overrides;
  bool json = false;
};

// convoy generate DIR|CHECKPOINT --prompt TEXT
struct GenerateLine {
  std::string source;
  std::string prompt;
  std::int64_t tokens = 256;
  double temperature = 0.8;
  std::uint64_t seed = 1;
};

// A text to print, and nothing else to do: --help, --version.
struct PrintLine {
  std::string text;
};

using CommandLine = std::variant<TrainLine, LaunchLine, SchedulerLine, EvalLine, GenerateLine, PrintLine>;

// `arguments` without the program's name. Throws Error(kUsage) with one line.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

// The arguments that make `convoy` parse to the same scheduler line.
std::vector<std::string> to_arguments(const SchedulerLine& line);

}  // namespace convoy::launcher
