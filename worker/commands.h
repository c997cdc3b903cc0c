// What the program's commands need of the worker room.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "cluster/messages.h"
#include "cluster/place.h"
#include "core/base/inspection.h"
#include "core/base/log.h"
#include "core/base/recipe.h"
#include "core/base/signals.h"
#include "core/io/onnx/file.h"
#include "distributed/mpi/session.h"
#include "worker/workload.h"

namespace convoy::worker {

struct TrainCommand {
  Recipe recipe;
  Workload workload;
  std::string run_directory;  // exists; rank 0 writes recipe.toml, logs/ and checkpoints/ there
  cluster::Place place;       // with the scheduler's credentials
  cluster::Environment environment;
  // The signals that stop a run, collected since before the first thread. Called once, when the worker can answer them.
  std::function<SignalReceiver&()> take_signals;
  std::chrono::steady_clock::time_point started;  // of the process
  std::function<void()> on_second_signal;         // the user asked again; any thread, may be empty
  // Where the scheduler is, now that it is lost; any thread, may be empty: where it was.
  std::function<cluster::Credentials()> find_scheduler{};
  distributed::MpiSession* mpi = nullptr;           // the engine is "mpi", and this is what it needs
  Inspection inspection{};                          // what is to be shown of the run
  std::function<void(const std::string&)> print{};  // on the terminal, a line
  // Writes reports of steps and evaluations down that no scheduler is there to write; throws Error where that cannot be
  // done. May be empty.
  std::function<void(const std::vector<cluster::Body>&)> record{};
  // Tests end or stop this process at named instants (docs/testing.md); may be empty. `step`: applied.
  std::function<void(std::string_view instant, std::int64_t step)> at_instant{};
};

// Trains as one worker of the run. Returns the process's exit code; throws Error when this worker itself failed (the
// scheduler has been told, if it was reached by then). A signal becomes a request to stop the whole run.
int train(const TrainCommand& command, Logger& logger);

// Opens the data and builds the model as a worker would, so that what is wrong is said once, before any process is
// started. Throws Error(kUsage), and Error(kUnavailable) where the state of one of `workers`, so many of which are on
// this machine, is more than it can have of the memory.
void preflight(const Recipe& recipe, const Workload& workload, std::int32_t workers, std::int32_t local_workers);

struct InspectCommand {
  Recipe recipe;
  Workload workload;
  Inspection inspection;
  std::int32_t workers = 1;
  std::int32_t local_workers = 1;  // of them, on this machine
};

// Throws Error(kUsage) for passes that there are not, steps that the run does not have, and graphs and
// passes of a dynamic step.
void check_inspection(const Recipe& recipe, const Inspection& inspection);
// Throws Error(kUsage) where all steps to profile are among those that the run has done already.
void check_profiled_steps(const Inspection& inspection, std::int64_t resume_step);

// Captures rank 0's step, without training. Throws Error(kUnavailable) with a table of its largest values where they
// are more than a worker can have of the memory.
void check_step_fits(const InspectCommand& command);

// Prints what the inspection asks for of a step of rank 0, without training: --dry-run, --print-graph.
void inspect(const InspectCommand& command, const std::function<void(const std::string&)>& print);

struct EvalCommand {
  std::string source;                    // a run directory or a checkpoint in it
  std::vector<std::string> overrides{};  // of where the data lie and what computes
  Workload workload{};
  std::function<void(const std::string&)> warn = [](const std::string&) {};  // of checkpoints that are damaged
};
struct CheckpointEvaluation {
  std::string checkpoint;
  std::int64_t step = 0;
  double loss = 0.0;      // mean over the held-out targets, nats: the bits of the run's own evaluation after `step`
  double accuracy = 0.0;  // share of the targets whose likeliest class is right
  std::int64_t samples = 0;
};

// Throws Error(kUsage) for what cannot be evaluated, Error(kDataLoss) naming the file that is damaged.
CheckpointEvaluation evaluate_checkpoint(const EvalCommand& command);

// One line each; to_json() is a JSON object with the loss in 17 significant digits.
std::string to_text(const CheckpointEvaluation& evaluation);
std::string to_json(const CheckpointEvaluation& evaluation);

struct ExportCommand {
  std::string source;                    // a run directory or a checkpoint in it
  std::string path;                      // of the ONNX file
  std::vector<std::string> overrides{};  // as an evaluation's
  Workload workload{};
  std::function<void(const std::string&)> warn = [](const std::string&) {};  // of checkpoints that are damaged
  OnnxFileOptions file{};
};
struct CheckpointExport {
  std::string path;
  std::string data_path;  // of the weights, where they need a file of their own
  std::string checkpoint;
  std::int64_t step = 0;
  std::string input, output;  // "input f32[batch, 28, 28, 1]"
  std::int64_t bytes = 0;
};

// Writes the forward pass that an evaluation runs as an ONNX model. Its sizes are open: the batch, and of a language
// model the length of the text up to its context. Activations are f32 whatever the checkpoint was trained with. Throws
// Error(kUsage) for what cannot be exported, Error(kDataLoss) naming the file that is damaged.
CheckpointExport export_checkpoint(const ExportCommand& command);

// One line.
std::string to_text(const CheckpointExport& exported);

struct GenerateCommand {
  std::string source;  // a run directory or a checkpoint in it
  std::string prompt;
  std::int64_t tokens = 256;
  double temperature = 0.8;  // 0: always the likeliest token
  std::uint64_t seed = 1;
  std::function<void(const std::string&)> warn = [](const std::string&) {};  // of checkpoints that are damaged
};

// Writes the prompt and its continuation to `out`, token by token.
void generate(const GenerateCommand& command, std::ostream& out);

}  // namespace convoy::worker
