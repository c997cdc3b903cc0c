// What the user typed, as plain values. CLI11 stays in the .cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/inspection.h"

namespace convoy::launcher {

// convoy train RECIPE [key=value …] [--run DIR] [--place auto|alone|openmpi|pmi|slurm] [--dry-run] [--print-graph]
// [--passes NAMES] [--profile A:B], or a program built on the library with the same words
// convoy resume DIR [key=value …] [--passes NAMES] [--profile A:B], or such a program's resume: `run` is DIR, `recipe`
// the recipe in it.
struct TrainLine {
  std::string recipe;  // empty: what the program brings
  std::vector<std::string> overrides;
  std::optional<std::string> run;
  std::string place = "auto";  // whose variables tell the worker its rank
  bool resume = false;
  std::string http{};  // where the status page is served: HOST:PORT, "none", or empty: anywhere on loopback
  Inspection inspection{};
};

// A program built on the library, as the user named it, with its own arguments.
struct ProgramLine {
  std::string program;
  std::vector<std::string> arguments;
};

// convoy launch -n N [--run DIR] [--min-workers K] [--listen ADDRESS] | [--join ADDRESS] [--max-restarts R]
//     -- train RECIPE [key=value …] | resume DIR [key=value …] | PROGRAM [ARGUMENT …]
struct LaunchLine {
  int workers = 1;
  int min_workers = 1;
  int max_restarts = 10;               // of each worker, in an hour
  std::string listen{};                // where the scheduler does: "tcp://10.0.0.1:0"; empty: for this host only
  std::optional<std::string> join{};   // the run under way that the workers join: its directory, or HOST:PORT
  std::optional<std::string> run;      // as far as launch itself was told
  std::string http{};                  // as in TrainLine, from either place
  std::optional<ProgramLine> program;  // else:
  TrainLine train;                     // with the run directory from either place
};

// convoy scheduler --run DIR --workers N --steps K …: started by `convoy launch`, or by hand.
struct SchedulerLine {
  std::string run;
  std::string listen;
  int workers = 1;
  int min_workers = 1;  // with fewer the run waits
  int max_workers = 0;  // more are refused; 0: any number
  std::int64_t steps = 0;
  std::int64_t resume_step = 0;
  std::string program = "convoy";  // whose `resume` goes on with the run
  std::string http{};              // as in TrainLine
  double suspect_s = 5.0;
  double hang_s = 30.0;
  // Whether the engine can connect those who are left when a worker dies; otherwise that ends the run.
  bool rebuilds = true;
  bool restarted = false;  // the one before died; the workers live
};

// convoy eval DIR|CHECKPOINT [key=value …] [--json], or a program's eval
struct EvalLine {
  std::string source;
  std::vector<std::string> overrides;
  bool json = false;
};

// convoy audit DIR [key=value …], or a program's audit
struct AuditLine {
  std::string run;
  std::vector<std::string> overrides;
};

// convoy export DIR|CHECKPOINT --onnx FILE [key=value …], or a program's export
struct ExportLine {
  std::string source;
  std::string onnx;
  std::vector<std::string> overrides;
};

// convoy generate DIR|CHECKPOINT --prompt TEXT
struct GenerateLine {
  std::string source;
  std::string prompt;
  std::int64_t tokens = 256;
  double temperature = 0.8;
  std::uint64_t seed = 1;
};

// convoy status DIR|ADDRESS [--json] [--watch] [--token-file FILE]
struct StatusLine {
  std::string source;
  bool json = false;
  bool watch = false;
  std::string token_file{};  // empty: none
};

// A text to print, and nothing else to do: --help, --version.
struct PrintLine {
  std::string text;
};

using CommandLine = std::variant<TrainLine, LaunchLine, SchedulerLine, EvalLine, AuditLine, ExportLine, GenerateLine,
                                 StatusLine, PrintLine>;

// `arguments` without the program's name. Throws Error(kUsage) with one line.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

// The arguments of a program built on the library, called `name`: a TrainLine, an EvalLine, an AuditLine, an ExportLine
// or a PrintLine. A program that brings no recipe of its own needs a RECIPE. Throws Error(kUsage) with one line.
CommandLine parse_program_line(const std::string& name, const std::vector<std::string>& words, bool has_recipe);

// Throws Error(kUsage) for a --place where `convoy launch` starts the worker.
void check_launched_place(const TrainLine& line);

// The arguments that make a worker parse to the same inspection.
std::vector<std::string> to_arguments(const Inspection& inspection);

// The arguments that make `convoy` parse to the same scheduler line.
std::vector<std::string> to_arguments(const SchedulerLine& line);

}  // namespace convoy::launcher
